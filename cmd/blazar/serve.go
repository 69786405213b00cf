package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/urfave/cli/v3"

	"blazar/internal/config"
	"blazar/internal/version"
	"blazar/runcsandboxer"
	"blazar/sandbox"
	"blazar/sandbox/controller"
	"blazar/sandbox/state"
	"blazar/wasmsandboxer"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "serve the Sandbox API to containerd",
		Description: "Runs until SIGTERM or SIGINT and leaves the pods running: started again it finds\n" +
			"them. Every flag overrides the key of the configuration file it is named after.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "configuration file (default " + config.DefaultFile + ", which need not exist)"},
			&cli.StringSliceFlag{Name: "kinds", Usage: "kinds of sandboxes to serve"},
			&cli.StringFlag{Name: "state", Usage: "directory of records and sockets, on a volatile file system"},
			&cli.StringFlag{Name: "root", Usage: "directory of what outlives a restart of the machine"},
			&cli.StringFlag{Name: "containerd", Usage: "containerd's gRPC socket"},
			&cli.StringFlag{Name: "containerd-state", Usage: "containerd's state directory"},
			&cli.StringFlag{Name: "wasm-task", Usage: "path of the wasm-task program"},
			&cli.StringFlag{Name: "engine", Usage: "engine of pods that choose none"},
			&cli.StringFlag{Name: "wasmedge", Usage: "libwasmedge: its path, or a directory that it was unpacked into"},
			&cli.StringFlag{Name: "confinement", Usage: "strict or best-effort"},
			&cli.StringFlag{Name: "pod-reaper", Usage: "path of the pod-reaper program"},
			&cli.IntFlag{Name: "prepared", Usage: "wasm-tasks that are started before there are pods for them"},
			&cli.StringFlag{Name: "log-level", Usage: "trace, debug, info, warn or error"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			cfg, err := serveConfig(c)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return serve(ctx, cfg)
		},
	}
}

// serveConfig is the configuration file with the flags over it.
func serveConfig(c *cli.Command) (config.Config, error) {
	cfg, err := config.Load(c.String("config"))
	if err != nil {
		return cfg, err
	}
	if c.IsSet("kinds") {
		cfg.Kinds = c.StringSlice("kinds")
	}
	if c.IsSet("prepared") {
		cfg.Wasm.Prepared = c.Int("prepared")
	}
	for name, field := range map[string]*string{
		"state": &cfg.State, "root": &cfg.Root, "containerd": &cfg.Containerd.Address,
		"containerd-state": &cfg.Containerd.State, "wasm-task": &cfg.Wasm.Task, "engine": &cfg.Wasm.Engine,
		"wasmedge":    &cfg.Wasm.WasmEdge,
		"confinement": &cfg.Wasm.Confinement, "log-level": &cfg.LogLevel, "pod-reaper": &cfg.Runc.Reaper,
	} {
		if c.IsSet(name) {
			*field = c.String(name)
		}
	}
	if cfg.Wasm.Task == "" {
		cfg.Wasm.Task = findProgram("wasm-task")
	}
	if cfg.Runc.Reaper == "" {
		cfg.Runc.Reaper = findProgram("pod-reaper")
	}
	return cfg, cfg.Check()
}

// serve makes the kinds, recovers their pods and answers until ctx ends.
func serve(ctx context.Context, cfg config.Config) (ended error) {
	if err := log.SetLevel(cfg.LogLevel); err != nil {
		return fmt.Errorf("log_level: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("blazar serve needs root: it makes mounts, cgroups and namespaces: %w", errdefs.ErrPermissionDenied)
	}
	for _, dir := range []string{cfg.State, cfg.Root} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return err
		}
	}
	var endpoints []controller.Endpoint
	var services []*controller.Service
	var sockets []string
	for _, name := range cfg.Kinds {
		kind, closeKind, err := kinds[name](cfg)
		if err != nil {
			return fmt.Errorf("kind %s: %w", name, err)
		}
		defer func() { ended = errors.Join(ended, closeKind()) }()
		service, err := kindService(ctx, cfg, kind)
		if err != nil {
			return err
		}
		services = append(services, service)
		sockets = append(sockets, cfg.Socket(name))
		endpoints = append(endpoints, controller.Endpoint{Socket: cfg.Socket(name), Service: service})
	}
	server, err := controller.Listen(ctx, endpoints...)
	if err != nil {
		return err
	}
	log.G(ctx).WithField("sockets", sockets).WithField("version", version.Get()).Info("serving pods")
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { reportHealth(ctx, sockets) })
	beside.Go(func() { removeUnknown(ctx, cfg.Containerd.Address, services...) })
	err = server.Serve(ctx)
	cancel()
	beside.Wait()
	return err
}

// kinds make the sandboxers, and say how to let go of them.
var kinds = map[string]func(cfg config.Config) (sandbox.Sandboxer, func() error, error){
	wasmsandboxer.Kind: wasmKind,
	runcsandboxer.Kind: runcKind,
}

// recoverTimeout bounds the search for the pods of the daemon before.
const recoverTimeout = 2 * time.Minute

// kindService makes the Controller service of a kind and recovers its pods.
func kindService(ctx context.Context, cfg config.Config, kind sandbox.Sandboxer) (*controller.Service, error) {
	store, err := state.Open(filepath.Join(cfg.State, kind.Kind()))
	if err != nil {
		return nil, err
	}
	service, err := controller.New(kind, controller.Config{
		Store: store, Info: map[string]string{"blazar": version.Get()},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, recoverTimeout)
	defer cancel()
	if err := service.Recover(ctx); err != nil {
		return nil, fmt.Errorf("recover the pods of kind %s: %w", kind.Kind(), err)
	}
	return service, nil
}

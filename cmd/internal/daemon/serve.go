// Package daemon is what `blazar serve` and `blazar taskd` do, for the two programs that
// do it: blazar, with everything, and blazard, which has nothing else.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/engines"
	"blazar/internal/config"
	"blazar/internal/version"
	"blazar/runcsandboxer"
	"blazar/sandbox"
	"blazar/sandbox/controller"
	"blazar/sandbox/state"
	"blazar/wasmsandboxer"
)

// Programs are what Serve needs that not every program is.
type Programs struct {
	// Engines are those that pods can have, as they are known to a process that does not
	// run them.
	Engines func(cfg config.Config) (*engines.Registry, error)
	// Compiler is the program whose subcommand compile makes artifacts; empty means this
	// one.
	Compiler string
}

// Serve makes the kinds, recovers their pods and answers until ctx ends.
func Serve(ctx context.Context, cfg config.Config, p Programs) (ended error) {
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
		kind, closeKind, err := kinds[name](cfg, p)
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
var kinds = map[string]func(cfg config.Config, p Programs) (sandbox.Sandboxer, func() error, error){
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

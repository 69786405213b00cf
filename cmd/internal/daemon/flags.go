package daemon

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"blazar/internal/config"
)

// Flag overrides a key of the configuration file.
type Flag struct {
	Name, Usage string
	// Repeated is one that may be given several times.
	Repeated bool
	set      func(c *config.Config, values []string) error
}

// ConfigFlag names the configuration file itself.
const ConfigFlag = "config"

func text(name, usage string, field func(c *config.Config) *string) Flag {
	return Flag{Name: name, Usage: usage, set: func(c *config.Config, values []string) error {
		*field(c) = values[len(values)-1]
		return nil
	}}
}

func number(name, usage string, field func(c *config.Config) *int) Flag {
	return Flag{Name: name, Usage: usage, set: func(c *config.Config, values []string) error {
		n, err := strconv.Atoi(values[len(values)-1])
		if err != nil {
			return fmt.Errorf("--%s %q is no number: %w", name, values[len(values)-1], errdefs.ErrInvalidArgument)
		}
		*field(c) = n
		return nil
	}}
}

// common are the flags of both.
var common = []Flag{
	{Name: ConfigFlag, Usage: "configuration file (default " + config.DefaultFile + ", which need not exist)"},
	text("state", "directory of records and sockets, on a volatile file system", func(c *config.Config) *string { return &c.State }),
	text("root", "directory of what outlives a restart of the machine", func(c *config.Config) *string { return &c.Root }),
	text("containerd", "containerd's gRPC socket", func(c *config.Config) *string { return &c.Containerd.Address }),
	text("containerd-state", "containerd's state directory", func(c *config.Config) *string { return &c.Containerd.State }),
	text("log-level", "trace, debug, info, warn or error", func(c *config.Config) *string { return &c.LogLevel }),
}

// ServeFlags are those of Serve, TaskdFlags those of Taskd.
var (
	ServeFlags = append([]Flag{
		{Name: "kinds", Usage: "kinds of sandboxes to serve", Repeated: true, set: setKinds},
		text("wasm-task", "path of the wasm-task program", func(c *config.Config) *string { return &c.Wasm.Task }),
		text("engine", "engine of pods that choose none", func(c *config.Config) *string { return &c.Wasm.Engine }),
		text("wasmedge", "libwasmedge: its path, or a directory that it was unpacked into", func(c *config.Config) *string { return &c.Wasm.WasmEdge }),
		text("confinement", "strict or best-effort", func(c *config.Config) *string { return &c.Wasm.Confinement }),
		text("pod-reaper", "path of the pod-reaper program", func(c *config.Config) *string { return &c.Runc.Reaper }),
		number("prepared", "wasm-tasks that are started before there are pods for them", func(c *config.Config) *int { return &c.Wasm.Prepared }),
	}, common...)
	TaskdFlags = append([]Flag{
		text("runc", "OCI runtime, runc or crun: a path or a name", func(c *config.Config) *string { return &c.Runc.Binary }),
	}, common...)
)

func setKinds(c *config.Config, values []string) error {
	c.Kinds = nil
	for _, v := range values {
		c.Kinds = append(c.Kinds, strings.Split(v, ",")...)
	}
	return nil
}

// Load is the configuration file with the flags over it that were given: values has
// what was said behind each.
func Load(flags []Flag, values map[string][]string) (config.Config, error) {
	file := ""
	if v := values[ConfigFlag]; len(v) > 0 {
		file = v[len(v)-1]
	}
	cfg, err := config.Load(file)
	if err != nil {
		return cfg, err
	}
	for _, f := range flags {
		if v := values[f.Name]; len(v) > 0 && f.set != nil {
			if err := f.set(&cfg, v); err != nil {
				return cfg, err
			}
		}
	}
	if cfg.Wasm.Task == "" {
		cfg.Wasm.Task = FindProgram("wasm-task")
	}
	if cfg.Runc.Reaper == "" {
		cfg.Runc.Reaper = FindProgram("pod-reaper")
	}
	return cfg, cfg.Check()
}

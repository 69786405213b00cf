// Package config reads Blazar's configuration: a TOML file, none needed, every key
// of which a flag can override. An unknown key is an error that names it.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"
)

// DefaultFile is read when no other is named; it need not exist.
const DefaultFile = "/etc/blazar/config.toml"

// Kinds of sandboxes that `blazar serve` can serve.
var Kinds = []string{"wasm", "runc"}

// Config is the whole configuration.
type Config struct {
	// Kinds to serve.
	Kinds []string `toml:"kinds"`
	// Root holds what outlives the machine's restart: the compile cache.
	Root string `toml:"root"`
	// State holds records and sockets; on a volatile file system.
	State string `toml:"state"`
	// LogLevel is one of logrus's.
	LogLevel string `toml:"log_level"`

	Containerd Containerd `toml:"containerd"`
	Wasm       Wasm       `toml:"wasm"`
	Runc       Runc       `toml:"runc"`
}

// Containerd says where it is.
type Containerd struct {
	// Address is the path of its gRPC socket; its ttrpc socket has .ttrpc behind it.
	Address string `toml:"address"`
	// State is its state directory.
	State string `toml:"state"`
	// Namespaces are those whose images are watched: CRI has one.
	Namespaces []string `toml:"namespaces"`
}

// Wasm is about wasm pods.
type Wasm struct {
	// Task is the path of wasm-task; empty means beside this program.
	Task string `toml:"task"`
	// Engine is the engine of pods that choose none; empty means the best.
	Engine string `toml:"engine"`
	// WasmEdge says where libwasmedge is: its path, or a directory with it, everything
	// that it needs and its own loader. Empty means where the host's loader finds it.
	WasmEdge string `toml:"wasmedge"`
	// Prepared is how many wasm-tasks are started before there are pods for them; 0 for
	// none.
	Prepared int `toml:"prepared"`
	// Precompile are the engines that images are compiled for as soon as they appear:
	// names, or "default" for the engine of pods that choose none. Empty: none.
	Precompile []string `toml:"precompile"`
	// FirstTier decides about containers whose module was never compiled: "on" starts
	// them on code that a faster compiler makes, on which they stay, "off" has them wait
	// for optimised code, "auto" does what fits. Annotations of pods override it.
	FirstTier string `toml:"first_tier"`
	// Confinement decides what happens where the kernel lacks a piece: "strict"
	// refuses, "best-effort" goes on and says what is weaker.
	Confinement string `toml:"confinement"`
	// UnmappedVolumes decides about volumes whose file system cannot be idmapped:
	// "allow" mounts them with their owners as they are, "refuse" does not.
	UnmappedVolumes string `toml:"unmapped_volumes"`
	// CgroupParent is for pods that name none.
	CgroupParent string `toml:"cgroup_parent"`
	// MemoryOverhead is what a pod's cgroup gets beyond its containers' memory, in bytes.
	MemoryOverhead int64 `toml:"memory_overhead"`
	// FirstID and LastID are the first ids of the first and last range of 65536
	// user ids for pods.
	FirstID uint32 `toml:"first_id"`
	LastID  uint32 `toml:"last_id"`
	// CacheBytes bounds the compile cache.
	CacheBytes int64 `toml:"cache_bytes"`
	// CompileMemory and CompileSeconds bound one compilation.
	CompileMemory  int64 `toml:"compile_memory"`
	CompileSeconds int   `toml:"compile_seconds"`
}

// Runc is about Linux containers: pods of the kind runc, and those in wasm pods.
type Runc struct {
	// Binary is the OCI runtime, runc or crun: a path, or a name to look for in PATH.
	Binary string `toml:"binary"`
	// Root is the runtime's state directory; empty means below State.
	Root string `toml:"root"`
	// Reaper is the path of pod-reaper; empty means beside this program.
	Reaper string `toml:"reaper"`
	// CgroupParent is for pods that name none.
	CgroupParent string `toml:"cgroup_parent"`
	// UnprivilegedPorts lets processes without privilege listen on ports below 1024,
	// UnprivilegedICMP open ICMP sockets, in pods that have a network of their own and
	// do not say otherwise. As in containerd's own configuration, both are the default.
	UnprivilegedPorts bool `toml:"unprivileged_ports"`
	UnprivilegedICMP  bool `toml:"unprivileged_icmp"`
}

// Default is the configuration without a file.
func Default() Config {
	return Config{
		Kinds: slices.Clone(Kinds), Root: "/var/lib/blazar", State: "/run/blazar", LogLevel: "info",
		Containerd: Containerd{Address: "/run/containerd/containerd.sock", State: "/run/containerd", Namespaces: []string{"k8s.io"}},
		Wasm:       Wasm{Precompile: []string{"default"}, FirstTier: Auto, Prepared: DefaultPrepared, Confinement: Strict, UnmappedVolumes: Allow},
		Runc:       Runc{Binary: "runc", UnprivilegedPorts: true, UnprivilegedICMP: true},
	}
}

// Values of Wasm.FirstTier, Wasm.Confinement and Wasm.UnmappedVolumes.
const (
	Auto       = "auto"
	On         = "on"
	Off        = "off"
	Strict     = "strict"
	BestEffort = "best-effort"
	Allow      = "allow"
	Refuse     = "refuse"
)

// DefaultPrepared is enough for the pods that start together on a small node, and costs 5 MiB.
const DefaultPrepared = 4

// maxPrepared bounds Wasm.Prepared: each costs the memory of an idle pod.
const maxPrepared = 1000

// maxFile bounds the file.
const maxFile = 1 << 20

// Load reads the file over the defaults. An empty path means DefaultFile, which may
// be missing.
func Load(path string) (Config, error) {
	c := Default()
	explicit := path != ""
	if !explicit {
		path = DefaultFile
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) && !explicit {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	if len(b) > maxFile {
		return c, fmt.Errorf("configuration %s has more than %d bytes: %w", path, maxFile, errdefs.ErrInvalidArgument)
	}
	if err := parse(b, &c); err != nil {
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

func parse(b []byte, c *Config) error {
	d := toml.NewDecoder(bytes.NewReader(b)).DisallowUnknownFields()
	err := d.Decode(c)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		var keys []string
		for _, e := range unknown.Errors {
			row, _ := e.Position()
			keys = append(keys, fmt.Sprintf("%s (line %d)", strings.Join(e.Key(), "."), row))
		}
		return fmt.Errorf("unknown key %s: %w", strings.Join(keys, ", "), errdefs.ErrInvalidArgument)
	case errors.As(err, &wrong):
		row, column := wrong.Position()
		return fmt.Errorf("line %d, column %d: %w: %w", row, column, err, errdefs.ErrInvalidArgument)
	}
	return fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
}

// Check says what cannot be, naming the key.
func (c *Config) Check() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s: %w", key, fmt.Sprintf(format, args...), errdefs.ErrInvalidArgument))
	}
	if len(c.Kinds) == 0 {
		bad("kinds", "none is named; possible: %s", strings.Join(Kinds, ", "))
	}
	for i, k := range c.Kinds {
		if slices.Contains(c.Kinds[:i], k) {
			bad("kinds", "%q is named twice", k)
		}
		if !slices.Contains(Kinds, k) {
			bad("kinds", "unknown kind %q; possible: %s", k, strings.Join(Kinds, ", "))
		}
	}
	for _, p := range []struct{ key, path string }{
		{"root", c.Root}, {"state", c.State},
		{"containerd.address", c.Containerd.Address}, {"containerd.state", c.Containerd.State},
	} {
		if !filepath.IsAbs(p.path) {
			bad(p.key, "%q is no absolute path", p.path)
		}
	}
	for _, n := range c.Containerd.Namespaces {
		if err := identifiers.Validate(n); err != nil {
			bad("containerd.namespaces", "%v", err)
		}
	}
	one := func(key, value string, possible ...string) {
		if !slices.Contains(possible, value) {
			bad(key, "%q is not one of %s", value, strings.Join(possible, ", "))
		}
	}
	one("wasm.first_tier", c.Wasm.FirstTier, Auto, On, Off)
	one("wasm.confinement", c.Wasm.Confinement, Strict, BestEffort)
	one("wasm.unmapped_volumes", c.Wasm.UnmappedVolumes, Allow, Refuse)
	if c.Wasm.Task != "" && !filepath.IsAbs(c.Wasm.Task) {
		bad("wasm.task", "%q is no absolute path", c.Wasm.Task)
	}
	if w := c.Wasm.WasmEdge; w != "" && (!filepath.IsAbs(w) || strings.ContainsAny(w, ": \t\n$")) {
		bad("wasm.wasmedge", "%q is no absolute path without blanks, colons and dollars, which mean something to the loader", w)
	}
	for key, path := range map[string]string{"runc.root": c.Runc.Root, "runc.reaper": c.Runc.Reaper} {
		if path != "" && !filepath.IsAbs(path) {
			bad(key, "%q is no absolute path", path)
		}
	}
	if b := c.Runc.Binary; b == "" || strings.Contains(b, "/") && !filepath.IsAbs(b) {
		bad("runc.binary", "%q is neither an absolute path nor a name to look for in PATH", b)
	}
	if n := c.Wasm.Prepared; n < 0 || n > maxPrepared {
		bad("wasm.prepared", "%d is not between 0 and %d", n, maxPrepared)
	}
	if c.Wasm.MemoryOverhead < 0 || c.Wasm.CompileMemory < 0 || c.Wasm.CompileSeconds < 0 {
		bad("wasm", "memory_overhead, compile_memory and compile_seconds cannot be negative")
	}
	return errors.Join(errs...)
}

// TaskSocket is where `blazar taskd` serves the Task API.
func (c *Config) TaskSocket() string { return filepath.Join(c.State, "taskd.sock") }

// Socket is where a kind is served.
func (c *Config) Socket(kind string) string { return filepath.Join(c.State, kind+".sock") }

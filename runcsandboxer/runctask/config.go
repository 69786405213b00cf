package runctask

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/internal/cgroup"
	"blazar/runcsandboxer/runctask/oom"
	"blazar/runcsandboxer/runctask/orphans"
)

// Config of a Runtime.
type Config struct {
	// State is Blazar's state directory: pods' files are read from it, and everything
	// of the task server is kept in its "taskd".
	State string
	// Binary is the OCI runtime: a path, or a name that is looked for in PATH. Empty
	// means runc.
	Binary string
	// Root is the OCI runtime's own state, unless a request names another; empty means
	// below State.
	Root string
	// CommandTimeout bounds one call of the OCI runtime. Zero means a minute.
	CommandTimeout time.Duration
	// Keeper keeps descriptors while there is no task server; nil if nobody does.
	Keeper Keeper
	// Orphans has to know of every call that may leave a process to this one.
	Orphans *orphans.Reaper
}

// Keeper keeps descriptors of processes, by name, for the next task server; package
// fdstore has systemd do it.
type Keeper interface {
	Keep(name string, fd int) error
	Drop(name string) error
	// Take returns a descriptor that is the caller's from now on, or nil.
	Take(name string) *os.File
}

// Runtime is a task.Runtime. Safe for concurrent use.
type Runtime struct {
	config Config
	oom    *oom.Watcher
	work   sync.WaitGroup // removals that go on

	mu         sync.Mutex // guards the fields below
	containers map[string]*container
	gone       map[string]identity
}

// New makes the Runtime; Close ends what it owns and leaves the containers running.
func New(c Config) (*Runtime, error) {
	if !filepath.IsAbs(c.State) {
		return nil, fmt.Errorf("state directory %q is no absolute path: %w", c.State, errdefs.ErrInvalidArgument)
	}
	if c.Binary == "" {
		c.Binary = "runc"
	}
	if c.Root == "" {
		c.Root = filepath.Join(c.State, "taskd", "runc")
	}
	if c.CommandTimeout == 0 {
		c.CommandTimeout = time.Minute
	}
	monitorOnce()
	r := &Runtime{config: c, containers: map[string]*container{}, gone: map[string]identity{}}
	for _, dir := range []string{r.records(), c.Root, r.consoles()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	w, err := oom.New(cgroup.HostMode() == cgroup.V2)
	if err != nil {
		return nil, err
	}
	r.oom = w
	return r, nil
}

// Close lets go of the containers, which run on. Nothing is asked of the Runtime
// afterwards.
func (r *Runtime) Close() error {
	r.work.Wait()
	for _, c := range r.all() {
		if err := c.release(); err != nil {
			log.L.WithError(err).Warnf("leaving %s", c.name)
		}
	}
	return r.oom.Close()
}

// records is where the records of containers are.
func (r *Runtime) records() string { return filepath.Join(r.config.State, "taskd", "c") }

// consoles is where sockets for terminals are made.
func (r *Runtime) consoles() string { return filepath.Join(r.config.State, "taskd", "tty") }

// binary finds the OCI runtime.
func binary(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("OCI runtime %s: %w: install it, or name another in [runc] binary of Blazar's configuration: %w",
			name, err, errdefs.ErrNotFound)
	}
	return path, nil
}

func (r *Runtime) all() []*container {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]*container, 0, len(r.containers))
	for _, c := range r.containers {
		out = append(out, c)
	}
	return out
}

// add keeps a container; errdefs.ErrAlreadyExists.
func (r *Runtime) add(c *container) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.containers[c.record.ID]; ok {
		return fmt.Errorf("container %s: %w", c.record.ID, errdefs.ErrAlreadyExists)
	}
	r.containers[c.record.ID] = c
	return nil
}

func (r *Runtime) remove(c *container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.containers[c.record.ID] == c {
		delete(r.containers, c.record.ID)
		r.bury(c)
	}
}

func (r *Runtime) get(id string) (*container, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	return c, ok
}

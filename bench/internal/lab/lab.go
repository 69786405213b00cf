// Package lab is what benchmarks have in common: the node they measure on, the
// contestants, and the contract by which they are run.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"blazar/bench/internal/report"
	"blazar/internal/node"
)

// Benchmark measures one thing.
type Benchmark interface {
	// Name is the benchmark's name on the command line and in file names: lower
	// case, no blanks.
	Name() string
	// Run measures. What cannot take part on this machine (an engine whose library
	// is missing, a handler that nobody serves) is left out with a note in the
	// section; everything else that goes wrong is an error. It leaves no pods behind
	// on the lab's node. The caller sets the section's Name and Took.
	Run(ctx context.Context, l *Lab) (*report.Section, error)
}

// Effort is how long a run may take.
type Effort int

const (
	// Smoke runs everything once: enough to see that it works.
	Smoke Effort = iota
	// Quick takes minutes.
	Quick
	// Full takes as long as it takes.
	Full
)

// Options are what a run is told.
type Options struct {
	// Bin, Tools and Images are the absolute paths of the directories of Blazar's
	// programs, of containerd, runc and crictl, and of the example images.
	Bin, Tools, Images string
	// Peers is the absolute path of the directory of the benchmark's own programs,
	// which Build fills: floor.
	Peers string
	// WasmEdge is where libwasmedge was unpacked; empty where it is installed.
	WasmEdge string
	// ServeArgs are more arguments of blazar serve.
	ServeArgs []string
	Effort    Effort
	// N is the number of samples of each contestant, 0 for what suits Effort.
	N int
	// Contestants are the names of those that take part, empty for what suits Effort.
	Contestants []string
	// Tables are the names of the tables to measure, empty for all that suit Effort:
	// for benchmarks that measure each table by itself.
	Tables []string
	// Log is told what is going on, a line at a time.
	Log io.Writer
}

// Lab is where benchmarks are run. Its methods may be called concurrently.
type Lab struct {
	Options

	mu    sync.Mutex // guards the fields below and their start, which callers wait for
	node  *node.Node
	floor *floor
}

// New makes a lab; Close it.
func New(o Options) *Lab { return &Lab{Options: o} }

// Say tells who waits what is going on.
func (l *Lab) Say(format string, args ...any) {
	if l.Log != nil {
		_, _ = fmt.Fprintf(l.Log, format+"\n", args...) // nobody measures for the sake of these lines
	}
}

// Samples is the number of samples to take: what -n says, or else what suits the
// effort.
func (l *Lab) Samples(quick, full int) int {
	switch {
	case l.N > 0:
		return l.N
	case l.Effort == Smoke:
		return 1
	case l.Effort == Full:
		return full
	}
	return quick
}

// Pick is one of three values, by effort.
func Pick[T any](e Effort, smoke, quick, full T) T {
	return []T{smoke, quick, full}[e]
}

// Wants says whether a contestant takes part: one that was named, or where none
// was, one that suits the effort.
func (l *Lab) Wants(name string, from Effort) bool {
	if len(l.Contestants) > 0 {
		return slices.Contains(l.Contestants, name)
	}
	return l.Effort >= from
}

// Measures says whether a table is measured: one that was named, or where none was,
// one that suits the effort.
func (l *Lab) Measures(table string, from Effort) bool {
	if len(l.Tables) > 0 {
		return slices.Contains(l.Tables, table)
	}
	return l.Effort >= from
}

// Node is the node that all benchmarks share, started when it is first asked for.
func (l *Lab) Node(ctx context.Context) (*node.Node, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.node != nil {
		return l.node, nil
	}
	l.Say("starting a node")
	if err := l.startShared(ctx); err != nil {
		return nil, err
	}
	return l.node, nil
}

// Start starts a node of the caller's own, which the caller stops: for what has to
// begin with fresh daemons.
func (l *Lab) Start(ctx context.Context, serveArgs ...string) (*node.Node, error) {
	return node.Start(ctx, node.Config{Bin: l.Bin, Tools: l.Tools, Kinds: l.kinds(), ServeArgs: append(l.serveArgs(), serveArgs...)})
}

// kinds are those of pods that the programs serve: earlier ones have no pod-reaper.
func (l *Lab) kinds() []string {
	if _, err := os.Stat(filepath.Join(l.Bin, "pod-reaper")); err != nil {
		return []string{node.Wasm}
	}
	return node.DefaultKinds
}

// serveArgs are those of every blazar serve of the lab.
func (l *Lab) serveArgs() []string {
	args := slices.Clone(l.ServeArgs)
	if l.WasmEdge != "" {
		args = append(args, "--wasmedge", l.WasmEdge)
	}
	return args
}

// startShared starts the shared node, which has the floor beside it.
func (l *Lab) startShared(ctx context.Context) (err error) {
	if l.floor == nil {
		if l.floor, err = startFloor(ctx, l.Peers); err != nil {
			return err
		}
	}
	config := node.Config{
		Bin: l.Bin, Tools: l.Tools, Kinds: l.kinds(), ServeArgs: l.serveArgs(),
		Sandboxers: map[string]string{FloorHandler: l.floor.socket()},
		Runtimes: map[string]map[string]any{FloorHandler: {
			// Blazar's shim, which containerd asks for once and runs after every container.
			"runtime_type": "io.containerd.blazar.v1", "sandboxer": FloorHandler, "disable_pause_image_pull": true,
		}},
	}
	for _, p := range peers {
		runtime, socket := p.find(ctx, l.floor.dir)
		if runtime == nil {
			continue
		}
		config.Runtimes[p.name] = runtime
		if socket != "" {
			config.Sandboxers[p.name] = socket
		}
	}
	l.node, err = node.Start(ctx, config)
	return err
}

// Close stops the shared node and what was started with it.
func (l *Lab) Close(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	if l.node != nil {
		errs = append(errs, l.node.Stop(ctx))
		l.node = nil
	}
	if l.floor != nil {
		errs = append(errs, l.floor.stop())
		l.floor = nil
	}
	return errors.Join(errs...)
}

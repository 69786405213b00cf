// Command blazard has the daemons of Blazar and nothing else: `blazar serve` and `blazar
// taskd` become it. It is linked without the engines, the registry client and the
// command line, which are most of blazar: a daemon has its program in memory for ever.
// What it needs an engine for it has blazar do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"blazar/cmd/internal/daemon"
	"blazar/cmd/internal/described"
	"blazar/engines"
	"blazar/internal/config"
)

// gcPercent is Go's GOGC. What these daemons keep is a few megabytes, of which Go would let
// the heap grow to four before it looks, and to twice afterwards.
const gcPercent = 40

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "blazar: "+err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("this program is started by `blazar serve` and `blazar taskd`")
	}
	flags := map[string][]daemon.Flag{"serve": daemon.ServeFlags, "taskd": daemon.TaskdFlags}[args[0]]
	cfg, err := daemon.Load(flags, values(args[1:]))
	if err != nil {
		return err
	}
	switch args[0] {
	case "serve":
		p, err := programs(ctx)
		if err != nil {
			return err
		}
		return daemon.Serve(ctx, cfg, p)
	case "taskd":
		return daemon.Taskd(ctx, cfg)
	}
	return fmt.Errorf("%q is neither serve nor taskd", args[0])
}

// values takes flags apart that blazar has read and checked: --name=value each.
func values(args []string) map[string][]string {
	all := map[string][]string{}
	for _, a := range args {
		name, value, _ := strings.Cut(strings.TrimPrefix(a, "--"), "=")
		all[name] = append(all[name], value)
	}
	return all
}

// programs has blazar do what takes an engine.
func programs(ctx context.Context) (daemon.Programs, error) {
	path := daemon.FindProgram("blazar")
	fd, err := hold(path)
	if err != nil {
		return daemon.Programs{}, fmt.Errorf("the program with the engines: %w", err)
	}
	return daemon.Programs{
		Engines: func(cfg config.Config) (*engines.Registry, error) {
			return described.All(ctx, path, daemon.WasmEdgePlace(cfg))
		},
		Compiler: fmt.Sprintf("/proc/self/fd/%d", fd),
	}, nil
}

// lowest is above every descriptor that a child is given: until it executes the program
// it has that of the program too.
const lowest = 100

// hold opens a program for good. A compiler is another user, who may not be able to walk
// to it, and the same program for as long as this process lives.
func hold(path string) (int, error) {
	f, err := os.OpenFile(path, unix.O_PATH, 0)
	if err != nil {
		return -1, err
	}
	defer func() { _ = f.Close() }() // only a path
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, lowest)
}

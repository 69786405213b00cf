package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"blazar/cmd/internal/builtin"
	"blazar/cmd/internal/daemon"
	"blazar/cmd/internal/described"
	"blazar/engines"
	"blazar/internal/config"
	"blazar/internal/wasmedgelib"
)

// describedEngines are the engines for a process that does not run them.
func describedEngines(cfg config.Config) *engines.Registry {
	self, err := os.Executable()
	if err != nil {
		self = "/proc/self/exe" // which a loader cannot start
	}
	return builtin.Described(self, daemon.WasmEdgePlace(cfg))
}

func describeEngineCommand() *cli.Command {
	return &cli.Command{
		Name:      described.Command,
		Usage:     "print what an engine is; started by blazar itself, not by people",
		ArgsUsage: "ENGINE",
		Hidden:    true,
		Action: func(ctx context.Context, c *cli.Command) error {
			b, err := builtin.Describe(ctx, c.Args().First())
			if err != nil {
				return err
			}
			_, err = c.Root().Writer.Write(b)
			return err
		},
	}
}

// withWasmEdge says how a compiling child executes itself with the library
// (ociwasm.ChildOptions). It may not be able to walk to any of the files any more.
func withWasmEdge(args []string) (path string, argv, env []string, err error) {
	library, err := wasmedgelib.Find(os.Getenv(wasmedgelib.Env))
	if err == nil {
		library, err = library.Inherit()
	}
	if err != nil {
		return "", nil, nil, err
	}
	self, err := unix.Open("/proc/self/exe", unix.O_PATH, 0)
	if err != nil {
		return "", nil, nil, fmt.Errorf("this program: %w", err)
	}
	c := library.Command(wasmedgelib.Inherited(self), args...)
	return c.Path, append([]string{filepath.Base(os.Args[0])}, c.Args...), append(os.Environ(), c.Env...), nil
}

// runWithWasmEdge executes this program again by the loader of the library that
// wasmedgelib.Env names, if it has one and this process was not started by it.
func runWithWasmEdge() error {
	library, err := wasmedgelib.Find(os.Getenv(wasmedgelib.Env))
	if err != nil || library.Loaded() {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("the path of this program: %w", err)
	}
	c := library.Command(self, os.Args[1:]...)
	if c.Path == self {
		return nil // the engine opens the library
	}
	err = syscall.Exec(c.Path, slices.Concat([]string{c.Path}, c.Args), os.Environ())
	return fmt.Errorf("start this program with libwasmedge: %w", err)
}

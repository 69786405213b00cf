package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/urfave/cli/v3"

	"blazar/cmd/blazar/internal/localrun"
	"blazar/cmd/internal/builtin"
	"blazar/internal/wasmedgelib"
)

func runCommand() *cli.Command {
	one := 1
	return &cli.Command{
		Name:      "run",
		Usage:     "run a module or an image right away, without containerd",
		ArgsUsage: "MODULE.wasm[#EXPORT] | IMAGE.tar [ARGS…]",
		Description: "The guest gets the engine, the WASI layer and the limits of a pod, but runs in this\n" +
			"process: use it for modules that you trust as much as any other program.\n\n" +
			"The exit code is the guest's own (255 for any above). Others: 134 it trapped,\n" +
			"137 it was over its memory limit, 124 it was over the timeout, 128+N a signal\n" +
			"ended it, 1 it could not be run, 2 wrong usage.\n\n" +
			"What follows the module belongs to the guest, but for a -- right behind it.",
		StopOnNthArg:              &one,
		DisableSliceFlagSeparator: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "engine", Usage: "`NAME` of the engine (default: the best that can run the module)"},
			&cli.StringSliceFlag{Name: "env", Usage: "set a variable of the guest's environment, `NAME=VALUE`"},
			&cli.StringSliceFlag{Name: "dir", Usage: "give the guest a directory, `HOST:GUEST[:ro]`"},
			&cli.StringSliceFlag{Name: "listen", Usage: "give the guest a listener, `tcp:[ADDRESS:]PORT`, behind its directories"},
			&cli.StringFlag{Name: "memory", Usage: "most `SIZE` of linear memory, as in 64MiB"},
			&cli.DurationFlag{Name: "timeout", Usage: "end the guest after this `TIME`, as in 5s"},
			&cli.StringFlag{Name: "cache", Usage: "`DIRECTORY` of compiled modules (default: blazar/compiled in the user's cache)"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			o, err := runOptions(c)
			if err != nil {
				return cli.Exit(err.Error(), 2)
			}
			if o.Engine == wasmedgelib.Engine {
				if err := runWithWasmEdge(); err != nil {
					return err
				}
			}
			signals := make(chan os.Signal, 4)
			signal.Notify(signals, localrun.Signals...)
			defer signal.Stop(signals)
			o.Signals = signals
			code, err := localrun.Run(ctx, o)
			if err != nil || code == 0 {
				return err
			}
			return cli.Exit("", code)
		},
	}
}

// runOptions makes options of the command line.
func runOptions(c *cli.Command) (o localrun.Options, err error) {
	if !c.Args().Present() {
		return o, errNoTarget
	}
	o = localrun.Options{
		Target: c.Args().First(), Args: c.Args().Tail(), Engine: c.String("engine"), Timeout: c.Duration("timeout"),
		Cache: c.String("cache"), Engines: builtin.Engines(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	if o.Env, err = parseAll(c.StringSlice("env"), localrun.ParseEnv); err != nil {
		return o, err
	}
	if o.Dirs, err = parseAll(c.StringSlice("dir"), localrun.ParseDir); err != nil {
		return o, err
	}
	if o.Listen, err = parseAll(c.StringSlice("listen"), localrun.ParseListen); err != nil {
		return o, err
	}
	if c.IsSet("memory") {
		o.Memory, err = localrun.ParseMemory(c.String("memory"))
	}
	return o, err
}

var errNoTarget = cli.Exit("say which module or image to run; see `blazar run --help`", 2)

func parseAll[T any](values []string, parse func(string) (T, error)) ([]T, error) {
	var all []T
	for _, v := range values {
		p, err := parse(v)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

package main

import (
	"context"

	"github.com/urfave/cli/v3"

	"blazar/cmd/internal/builtin"
	"blazar/internal/wasmedgelib"
	ociwasm "blazar/oci-wasm"
)

func compileCommand() *cli.Command {
	return &cli.Command{
		Name:   "compile",
		Usage:  "compile a module; started by blazar serve and blazar run, not by people",
		Hidden: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "engine", Required: true},
			&cli.Int64Flag{Name: "memory", Required: true},
			&cli.Int64Flag{Name: "output", Required: true},
			&cli.DurationFlag{Name: "cpu", Required: true},
			&cli.IntFlag{Name: "uid"},
			&cli.BoolFlag{Name: "confined"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			o := ociwasm.ChildOptions{
				Memory: c.Int64("memory"), Output: c.Int64("output"), CPU: c.Duration("cpu"),
				UID: c.Int("uid"), Confined: c.Bool("confined"),
			}
			if c.String("engine") == wasmedgelib.Engine {
				o.Again = withWasmEdge
			}
			code := ociwasm.CompileChild(ctx, o, func(ctx context.Context, module []byte, dir string) error {
				engine, err := builtin.Engines().Open(ctx, c.String("engine"))
				if err != nil {
					return err
				}
				return engine.Compile(ctx, module, dir)
			})
			if code != 0 {
				return cli.Exit("", code) // CompileChild said why
			}
			return nil
		},
	}
}

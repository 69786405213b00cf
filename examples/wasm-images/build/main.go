// Command build makes the example images: modules and importable tars.
//
//	go run ./examples/wasm-images/build [-out DIR] [NAME…]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"blazar/examples/wasm-images/recipe"
)

func main() {
	in := flag.String("in", "examples/wasm-images", "`folder` of the recipes")
	out := flag.String("out", ".cache/images", "`folder` of what is built")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := build(ctx, *in, *out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

// build builds the recipes of those names, all of them without a name.
func build(ctx context.Context, in, out string, names []string) error {
	recipes, err := recipe.LoadAll(in)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		recipes = slices.DeleteFunc(recipes, func(r *recipe.Recipe) bool { return !slices.Contains(names, r.Name) })
		if len(recipes) != len(names) {
			return fmt.Errorf("not all of %q are example images", names)
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for _, r := range recipes {
		g.Go(func() error {
			b, err := r.Build(ctx, out)
			if err == nil && b.Changed {
				fmt.Println("built", r.Name)
			}
			return err
		})
	}
	return g.Wait()
}

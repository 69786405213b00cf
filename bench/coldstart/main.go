// Command coldstart measures how long pods take to start, and to go, through CRI.
// The contestants alternate on one containerd, one pod at a time, in the host's
// network; the raw figures and a table are written to bench/results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// options are the command line.
type options struct {
	bin, tools, images, out string
	iterations, warmup      int
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of Blazar's programs")
	flag.StringVar(&o.tools, "tools", ".cache/bin", "directory of containerd, runc and crictl")
	flag.StringVar(&o.images, "images", ".cache/images", "directory of the example images")
	flag.StringVar(&o.out, "out", "bench/results", "directory of the results")
	flag.IntVar(&o.iterations, "n", 50, "pods of each contestant")
	flag.IntVar(&o.warmup, "warmup", 5, "pods of each contestant before the measurement")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "coldstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.iterations < 1 || o.warmup < 0 {
		return errors.New("-n must be at least 1, -warmup at least 0")
	}
	for _, dir := range []*string{&o.bin, &o.tools, &o.images} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		*dir = abs
	}
	r, err := measure(ctx, o)
	if err != nil {
		return err
	}
	if err := r.table(os.Stdout); err != nil {
		return err
	}
	return r.save(o.out)
}

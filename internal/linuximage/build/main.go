// Command build makes the Linux images of the tests: importable tars.
//
//	go run ./internal/linuximage/build [-out DIR] [-programs DIR]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"blazar/internal/linuximage"
)

func main() {
	out := flag.String("out", ".cache/images", "`folder` of the tars")
	programs := flag.String("programs", ".cache/bin", "`folder` of linux-webserver and linux-nonewprivs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := build(ctx, *out, *programs); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func build(ctx context.Context, out, programs string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	changed, err := linuximage.Write(ctx, out, programs)
	for _, name := range changed {
		fmt.Println("built", name)
	}
	return err
}

// Command bench measures Blazar on this machine: it runs the benchmarks below this
// folder one after another and writes what they measured as JSON, Markdown, plots and
// an HTML page.
//
//	go run ./bench                                 minutes
//	go run ./bench -full                           as long as it takes
//	go run ./bench -only coldstart -tables host -n 20 -contestants floor,wasm
//	go run ./bench -check bench/baseline.json      compares ratios, writes nothing
//	go run ./bench -show FILE                      shows an earlier results.json again
//
// It needs root, and the programs and images that `make node` builds.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	c := flags()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// flags reads the command line.
func flags() *command {
	c := &command{}
	flag.StringVar(&c.bin, "bin", "bin", "directory of Blazar's programs")
	flag.StringVar(&c.tools, "tools", ".cache/bin", "directory of containerd, runc and crictl")
	flag.StringVar(&c.images, "images", ".cache/images", "directory of the example images")
	flag.StringVar(&c.peers, "peers", ".cache/bench", "directory that the benchmarks' own programs are built into")
	flag.StringVar(&c.wasmedge, "wasmedge", ".cache/wasmedge/lib", "directory that libwasmedge was unpacked into; need not exist")
	flag.StringVar(&c.out, "out", "bench/results", "directory of the results")
	flag.Func("only", "benchmarks to run, separated by commas: "+strings.Join(names(), ", "), list(&c.only))
	flag.Func("contestants", "contestants that take part, separated by commas (default: what the effort allows)", list(&c.contestants))
	flag.Func("tables", "tables to measure, separated by commas, of the benchmarks that measure each by itself: coldstart's host, bridge, host-10 …", list(&c.tables))
	flag.Func("serve-arg", "argument of blazar serve, such as --prepared=4; may be repeated", func(s string) error {
		c.serveArgs = append(c.serveArgs, s)
		return nil
	})
	flag.IntVar(&c.n, "n", 0, "samples of each contestant (default: what the effort allows)")
	flag.BoolVar(&c.full, "full", false, "measure everything, for as long as it takes")
	flag.BoolVar(&c.smoke, "smoke", false, "run everything once, to see that it works")
	flag.StringVar(&c.check, "check", "", "compare the ratios with those of this `file`, and fail if one is worse; writes no results")
	flag.BoolVar(&c.update, "update", false, "with -check: write what was measured into its file")
	flag.StringVar(&c.show, "show", "", "measure nothing: show this `results.json` again")
	flag.Parse()
	return c
}

func list(into *[]string) func(string) error {
	return func(s string) error {
		*into = append(*into, strings.Split(s, ",")...)
		return nil
	}
}

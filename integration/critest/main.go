package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"blazar/internal/node"
)

// options are what the command line says.
type options struct {
	handler string
	focus   string
	skipped bool
	procs   int
	report  string
	bin     string
	root    string
}

func main() {
	var o options
	flag.StringVar(&o.handler, "handler", node.RuncHandler, "runtime handler")
	flag.StringVar(&o.focus, "focus", "", "run only the specs that match the regular `expression`")
	flag.BoolVar(&o.skipped, "skipped", false, "run the specs of the skip list only, to see that they fail")
	flag.IntVar(&o.procs, "procs", 4, "how many specs run at once")
	flag.StringVar(&o.report, "report", "", "write every spec and its outcome into `file`")
	flag.StringVar(&o.bin, "bin", "bin", "`folder` of Blazar's programs")
	flag.StringVar(&o.root, "root", ".", "`folder` of the source tree")
	inside := flag.Bool("inside", false, "is in namespaces of its own already")
	flag.Parse()
	if !*inside {
		fatal(unshareAndExec())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		stop()
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "critest:", err)
	os.Exit(1)
}

package main

import (
	"flag"
	"io"
)

// command is what the command line asks for. Flags that containerd passes and
// that mean nothing here (-namespace, -address, -publish-binary, -debug, …) are
// accepted and dropped.
type command struct {
	info, version bool
	id, bundle    string
	action        string
}

func parse(args []string) (command, error) {
	var (
		c       command
		ignored string
		debug   bool
	)
	f := flag.NewFlagSet("containerd-shim-blazar-v1", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.BoolVar(&c.info, "info", false, "")
	f.BoolVar(&c.version, "v", false, "")
	f.BoolVar(&c.version, "version", false, "")
	f.StringVar(&c.id, "id", "", "")
	f.StringVar(&c.bundle, "bundle", "", "")
	f.BoolVar(&debug, "debug", false, "")
	for _, name := range []string{"namespace", "address", "publish-binary", "socket", "debug-socket"} {
		f.StringVar(&ignored, name, "", "")
	}
	if err := f.Parse(args); err != nil {
		return command{}, err
	}
	c.action = f.Arg(0)
	return c, nil
}

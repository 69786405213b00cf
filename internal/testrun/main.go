package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// integrationPackage is the one that needs a node, benchPackage that which runs every
// benchmark once on one.
const (
	integrationPackage = "blazar/integration"
	v2guestPackage     = "blazar/integration/v2guest"
	benchPackage       = "blazar/bench"
)

// wasmedgePackages are those that need libwasmedge, and so perhaps another loader.
var wasmedgePackages = []string{"blazar/engines/wasmedge", "blazar/cmd/internal/builtin"}

// parts are the parts of the tests and the arguments of go test for each. The race
// detector does not reach the daemons of the integration tests, which are separate
// processes.
var parts = map[string]func() ([]string, error){
	"unit": func() ([]string, error) {
		packages, err := list()
		return append([]string{"-race", "-timeout", "20m"}, packages...), err
	},
	"wasmedge": func() ([]string, error) {
		flags, err := exec.Command("tools/wasmedge/ldflags").Output()
		if err != nil {
			return nil, fmt.Errorf("tools/wasmedge/ldflags: %w", err)
		}
		args := []string{"-race", "-timeout", "20m", "-ldflags=" + strings.TrimSpace(string(flags))}
		return append(args, wasmedgePackages...), nil
	},
	"integration": func() ([]string, error) {
		// One after the other: two nodes at a time are slow.
		return []string{"-count=1", "-p", "1", "-timeout", "20m", integrationPackage, benchPackage}, nil
	},
	"v2guest": func() ([]string, error) {
		return []string{"-count=1", "-timeout", "20m", v2guestPackage}, nil
	},
}

func main() {
	var chosen []string
	flag.Func("part", "unit, wasmedge, integration or v2guest; may be repeated", func(s string) error {
		if parts[s] == nil {
			return fmt.Errorf("no such part")
		}
		chosen = append(chosen, s)
		return nil
	})
	flag.Parse()
	c := newCounter(os.Stdout)
	ok := true
	for _, part := range chosen {
		if err := run(c, part, flag.Args()); err != nil {
			fmt.Fprintf(os.Stderr, "%s tests: %v\n", part, err)
			ok = false
		}
	}
	c.summary()
	if !ok || c.failed > 0 {
		os.Exit(1)
	}
}

// run runs one part. The error is that of the go command, whatever was counted.
func run(c *counter, part string, more []string) error {
	args, err := parts[part]()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", slices.Concat([]string{"test", "-json"}, more, args)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := c.read(out); err != nil {
		return err
	}
	return cmd.Wait()
}

// list lists the packages of the module that need neither a node nor a library.
func list() ([]string, error) {
	cmd := exec.Command("go", "list", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(p string) bool {
		return slices.Contains(wasmedgePackages, p) || p == benchPackage || p == integrationPackage || p == v2guestPackage || strings.HasPrefix(p, integrationPackage+"/guest/")
	}), nil
}

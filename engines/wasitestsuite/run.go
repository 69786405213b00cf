package wasitestsuite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// caseTimeout bounds one case; the slowest takes well under a second.
const caseTimeout = time.Minute

// Runner runs cases.
type Runner struct {
	// Blazar is the path of the binary; Flags come behind `run`.
	Blazar string
	Flags  []string
	// Scratch is a directory for the fixtures, of which every case gets a fresh copy.
	Scratch string
}

// Run runs one case. The error says in what way the case failed.
func (r Runner) Run(ctx context.Context, c Case) error {
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	args, err := r.arguments(c)
	if err != nil {
		return err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, r.Blazar, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGKILL) }
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	err = c.Check(cmd.ProcessState.ExitCode(), stdout.String(), stderr.String())
	if ctx.Err() != nil {
		err = errors.Join(err, fmt.Errorf("it took longer than %v", caseTimeout))
	}
	return err
}

// arguments is the command line of a case, its fixtures copied.
func (r Runner) arguments(c Case) ([]string, error) {
	args := append([]string{"run"}, r.Flags...)
	for _, k := range slices.Sorted(maps.Keys(c.Env)) {
		args = append(args, "--env", k+"="+c.Env[k])
	}
	if c.Fixtures() != "" {
		dir, err := os.MkdirTemp(r.Scratch, strings.ReplaceAll(c.Name, "/", "-")+"-")
		if err != nil {
			return nil, err
		}
		if err := os.CopyFS(dir, os.DirFS(c.Fixtures())); err != nil {
			return nil, fmt.Errorf("copy the fixtures: %w", err)
		}
		args = append(args, "--dir", dir+":/")
	}
	return append(append(args, c.Module), c.Args...), nil
}

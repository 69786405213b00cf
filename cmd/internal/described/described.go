// Package described has engines as they are known to a process that does not run them:
// a child, `blazar describe-engine`, says what there is to say of them.
package described

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"blazar/engines"
	"blazar/internal/wasmedgelib"
)

// Command is the subcommand of blazar that prints Descriptions as JSON: of the engine
// that it is given the name of, or of all that are built in.
const Command = "describe-engine"

// timeout bounds a child, which may load a library.
const timeout = 30 * time.Second

// Description is what a child says of one engine: Info, or Missing, or Library.
type Description struct {
	Name string
	Info *engines.Info
	// Baseline is set for an engine that has a baseline engine.
	Baseline *engines.Info
	// Library says that the engine is a library of the host, which is asked for alone.
	Library bool
	// Missing is why the engine cannot be used, NotFound that it is not there.
	Missing  string
	NotFound bool
}

// Of says what an engine of this process is, or why it cannot be used.
func Of(ctx context.Context, r *engines.Registry, name string) Description {
	e, err := r.Open(ctx, name)
	if err != nil {
		return Description{Name: name, Missing: err.Error(), NotFound: errdefs.IsNotFound(err)}
	}
	i := e.Info()
	d := Description{Name: name, Info: &i}
	if t, ok := e.(engines.Tiered); ok {
		if b, err := t.Baseline(); err == nil {
			i := b.Info()
			d.Baseline = &i
		}
	}
	return d
}

// All asks program for the engines that it has. where says where libwasmedge is
// (wasmedgelib.Find); a library is looked for when it is first opened.
func All(ctx context.Context, program, where string) (*engines.Registry, error) {
	all, err := ask(ctx, wasmedgelib.Command{Path: program, Args: []string{Command}}, where)
	if err != nil {
		return nil, fmt.Errorf("engines of %s: %w", program, err)
	}
	r := &engines.Registry{}
	for _, d := range all {
		if d.Library {
			r.Register(d.Name, Library(program, where, d.Name))
			continue
		}
		r.Register(d.Name, func(context.Context) (engines.Engine, error) { return d.engine() })
	}
	return r, nil
}

// Library makes an engine over a library of the host, which is never loaded into this
// process.
func Library(program, where, name string) engines.Factory {
	return func(ctx context.Context) (engines.Engine, error) {
		library, err := wasmedgelib.Find(where)
		if err != nil {
			return nil, err
		}
		all, err := ask(ctx, library.Command(program, Command, name), where)
		if err != nil {
			return nil, fmt.Errorf("engine %s: %w", name, err)
		}
		if len(all) != 1 || all[0].Name != name {
			return nil, fmt.Errorf("engine %s: what describes it spoke of others: %w", name, errdefs.ErrInternal)
		}
		return all[0].engine()
	}
}

// ask starts the child.
func ask(ctx context.Context, c wasmedgelib.Command, where string) ([]Description, error) {
	// Whoever asked first may give up, and the answer is everybody's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append(c.Env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", wasmedgelib.Env+"="+where)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("it cannot be used: the process that describes it ended with %w: %s: %w",
			err, strings.TrimSpace(stderr.String()), errdefs.ErrUnavailable)
	}
	var all []Description
	if err := json.Unmarshal(stdout.Bytes(), &all); err != nil {
		return nil, fmt.Errorf("what describes it printed %.80q: %w", stdout.String(), errdefs.ErrInternal)
	}
	return all, nil
}

// engine is the engine as it was described.
func (d Description) engine() (engines.Engine, error) {
	if d.Info == nil {
		kind := error(errdefs.ErrUnavailable)
		if d.NotFound {
			kind = errdefs.ErrNotFound
		}
		return nil, fmt.Errorf("%s: %w", strings.TrimSuffix(d.Missing, ": "+kind.Error()), kind)
	}
	if d.Baseline != nil {
		return tiered{engine{*d.Info}, engine{*d.Baseline}}, nil
	}
	return engine{*d.Info}, nil
}

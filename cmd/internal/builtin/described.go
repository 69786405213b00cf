package builtin

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
	"blazar/engines/wazero"
	"blazar/internal/wasmedgelib"
)

// DescribeCommand is the subcommand of blazar that prints what Describe does.
const DescribeCommand = "describe-engine"

// describeTimeout bounds the child that loads a library.
const describeTimeout = 30 * time.Second

// Described is Engines for a process that runs no guests and compiles in children: a
// library of the host is never loaded into it. What there is to say of such an engine
// is asked of a child, `program describe-engine NAME`, when it is first opened; where
// says where libwasmedge is (wasmedgelib.Find).
func Described(program, where string) *engines.Registry {
	r := &engines.Registry{}
	registerNative(r)
	r.Register(wazero.Name, wazero.New)
	registerLibraries(r, func(name string, _ engines.Factory) engines.Factory {
		return func(ctx context.Context) (engines.Engine, error) { return ask(ctx, program, where, name) }
	})
	return r
}

// description is what a child prints: exactly one field.
type description struct {
	Info *engines.Info
	// Missing is why the engine cannot be used, NotFound that it is not there.
	Missing  string
	NotFound bool
}

// Describe opens the engine in this process and says, as JSON, what it is or why it
// cannot be used.
func Describe(ctx context.Context, name string) ([]byte, error) {
	e, err := Engines().Open(ctx, name)
	if err != nil {
		return json.Marshal(description{Missing: err.Error(), NotFound: errdefs.IsNotFound(err)})
	}
	i := e.Info()
	return json.Marshal(description{Info: &i})
}

// ask starts the child.
func ask(ctx context.Context, program, where, name string) (engines.Engine, error) {
	library, err := wasmedgelib.Find(where)
	if err != nil {
		return nil, err
	}
	// Whoever asked first may give up, and the answer is everybody's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), describeTimeout)
	defer cancel()
	c := library.Command(program, DescribeCommand, name)
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append(c.Env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", wasmedgelib.Env+"="+where)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("engine %s cannot be used: the process that loads its library ended with %w: %s: %w",
			name, err, strings.TrimSpace(stderr.String()), errdefs.ErrUnavailable)
	}
	var d description
	if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
		return nil, fmt.Errorf("engine %s: what describes it printed %.80q: %w", name, stdout.String(), errdefs.ErrInternal)
	}
	if d.Info == nil {
		kind := error(errdefs.ErrUnavailable)
		if d.NotFound {
			kind = errdefs.ErrNotFound
		}
		return nil, fmt.Errorf("%s: %w", strings.TrimSuffix(d.Missing, ": "+kind.Error()), kind)
	}
	return described{info: *d.Info}, nil
}

// described is an engine that other processes run.
type described struct{ info engines.Info }

var _ engines.Engine = described{}

// Info implements engines.Engine.
func (d described) Info() engines.Info { return d.info }

// Compile implements engines.Engine; it fails.
func (d described) Compile(context.Context, []byte, string) error { return d.elsewhere() }

// Load implements engines.Engine; it fails.
func (d described) Load(context.Context, string) (engines.Module, error) {
	return nil, d.elsewhere()
}

func (d described) elsewhere() error {
	return fmt.Errorf("the engine %s is not in this process, only in those that compile or run modules: %w", d.info.Name, errdefs.ErrFailedPrecondition)
}

package precompile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"blazar/engines"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/artifact"
	"blazar/wasmsandboxer/podspec"
)

// Default in a list of engines is the engine of a pod that chooses none.
const Default = "default"

// Resolve replaces Default in names by the engine that a pod without a choice gets
// where configured, which may be empty, is the configured one. A name that is not
// registered is errdefs.ErrInvalidArgument.
func Resolve(names []string, configured string, r *engines.Registry) ([]string, error) {
	var out []string
	for _, name := range names {
		choice, err := (&podspec.Container{}).Engine(configured, r.Names())
		switch {
		case name != Default && !slices.Contains(r.Names(), name):
			return nil, fmt.Errorf("engine %q is not built in; possible: %s and %q: %w", name, r.Names(), Default, errdefs.ErrInvalidArgument)
		case name == Default && err != nil:
			return nil, err
		case name == Default:
			name = choice.Engine
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out, nil
}

// Compiler compiles the modules of images. Safe for concurrent use.
type Compiler struct {
	Registry *engines.Registry
	// Engines are the names of those to compile for.
	Engines []string
	Cache   *ociwasm.Cache
	// Scratch is a directory for modules on their way from a layer to the compiler;
	// nothing stays in it.
	Scratch string
	// Thorough looks for modules also where that takes reading the layers of an
	// image that gives no sign of holding one.
	Thorough bool
}

// Result is what was done for one engine.
type Result struct {
	Engine string
	// Hit says that it had been compiled before.
	Hit bool
	Err error
}

// Report is what was done for one module.
type Report struct {
	// Place says where the module is: a layer, or a file of the image.
	Place   string
	Digest  digest.Digest
	Results []Result
}

// Err joins what failed.
func (r *Report) Err() error {
	var errs []error
	for _, x := range r.Results {
		errs = append(errs, x.Err)
	}
	return errors.Join(errs...)
}

// module is a module found, to be closed.
type module struct {
	place  string
	digest digest.Digest
	check  func(ociwasm.Abilities) error
	open   func(context.Context) (io.ReadCloser, error)
	file   *os.File // where it was copied to, or nil
}

func (m *module) close() {
	if m.file != nil {
		_ = m.file.Close() // has no name and goes with it
	}
}

// Image compiles the module that the image's own command names. ErrNoModule says
// that there is none to be expected; other errors that it could not be looked for.
// What failed for one engine is in its Result.
func (c *Compiler) Image(ctx context.Context, p content.Provider, d ocispec.Descriptor) (*Report, error) {
	m, err := c.find(ctx, p, d)
	if err != nil {
		return nil, err
	}
	defer m.close()
	return c.compile(ctx, m), nil
}

// File compiles a module that is a file; name is for messages.
func (c *Compiler) File(ctx context.Context, name string, f *os.File) (*Report, error) {
	m, err := ofFile(ctx, name, f)
	if err != nil {
		return nil, err
	}
	return c.compile(ctx, m), nil
}

func ofFile(ctx context.Context, name string, f *os.File) (*module, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d, err := ociwasm.DigestOf(ctx, f)
	if err != nil {
		return nil, err
	}
	return &module{
		place: name, digest: d,
		check: func(a ociwasm.Abilities) error { return ociwasm.CheckModule(name, f, st.Size(), a) },
		open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(f, 0, ociwasm.MaxModuleSize+1)), nil
		},
	}, nil
}

func (c *Compiler) compile(ctx context.Context, m *module) *Report {
	r := &Report{Place: m.place, Digest: m.digest}
	for _, name := range c.Engines {
		hit, err := c.compileWith(ctx, name, m)
		r.Results = append(r.Results, Result{Engine: name, Hit: hit, Err: err})
	}
	return r
}

func (c *Compiler) compileWith(ctx context.Context, name string, m *module) (hit bool, err error) {
	engine, err := c.Registry.Open(ctx, name)
	if err != nil {
		return false, err
	}
	if err := m.check(artifact.Abilities(engine.Info())); err != nil {
		return false, err
	}
	a, err := c.Cache.Artifact(ctx, artifact.Key(m.digest, engine.Info()), m.open)
	if err != nil {
		return false, err
	}
	a.Release()
	return a.Hit, nil
}

// compiled says whether all that a report is about is there still.
func (c *Compiler) compiled(ctx context.Context, r *Report) bool {
	for _, name := range c.Engines {
		engine, err := c.Registry.Open(ctx, name)
		if err != nil {
			return false
		}
		a, err := c.Cache.Lookup(artifact.Key(r.Digest, engine.Info()))
		if err != nil {
			return false
		}
		a.Release()
	}
	return true
}

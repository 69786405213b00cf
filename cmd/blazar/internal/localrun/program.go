package localrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"blazar/engines"
	ociwasm "blazar/oci-wasm"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// program is what Options.Target turned out to be.
type program struct {
	name   string // for messages
	entry  string // the export to start at
	digest digest.Digest
	// open gives the module's bytes; check refuses what an engine cannot run.
	open  func(context.Context) (io.ReadCloser, error)
	check func(context.Context, ociwasm.Abilities) error
	// What an image brings; a module brings its own name as the first argument.
	args, env []string
	rootfs    string // a directory, or empty
	closers   []func() error
}

func (p *program) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		_ = p.closers[i]() // temporary files and files opened for reading
	}
}

// open finds out what the target is.
func open(ctx context.Context, o Options) (*program, error) {
	info, err := os.Stat(o.Target)
	if err == nil && info.IsDir() {
		return openImage(ctx, o)
	}
	path, entry := o.Target, ""
	if errors.Is(err, os.ErrNotExist) {
		// A name with # in it wins over the export of a file without.
		if i := strings.LastIndexByte(o.Target, '#'); i > 0 {
			path, entry = o.Target[:i], o.Target[i+1:]
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the module or image to run: %w", err)
	}
	p, err := openFile(ctx, o, f, path, entry)
	if err != nil {
		_ = f.Close() // opened for reading
	}
	return p, err
}

func openFile(ctx context.Context, o Options, f *os.File, path, entry string) (*program, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file; save the module to a file first: %w", path, errdefs.ErrInvalidArgument)
	}
	kind, err := ociwasm.Sniff(f, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if kind == ociwasm.KindArchive && entry == "" {
		_ = f.Close() // the layout opens it anew
		return openImage(ctx, o)
	}
	p := &program{name: path, entry: entry, args: append([]string{o.Target}, o.Args...), closers: []func() error{f.Close}}
	return p, p.file(ctx, f, info.Size())
}

// file makes the program's module the file f.
func (p *program) file(ctx context.Context, f *os.File, size int64) error {
	p.check = func(_ context.Context, a ociwasm.Abilities) error { return ociwasm.CheckModule(p.name, f, size, a) }
	// What no engine can run is refused before a byte more is read.
	if err := p.check(ctx, ociwasm.Abilities{Engine: "any", Components: true}); err != nil {
		return err
	}
	d, err := ociwasm.DigestOf(ctx, f)
	p.digest = d
	p.open = func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(f, 0, size)), nil
	}
	if p.entry == "" {
		p.entry = engines.DefaultEntry
	}
	return err
}

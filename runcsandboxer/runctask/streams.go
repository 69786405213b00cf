package runctask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/containerd/errdefs"
	runc "github.com/containerd/go-runc"

	"blazar/sandbox/task"
	"blazar/sandbox/task/stdio"
)

// streams are what a process without a terminal gets as its standard streams: the
// FIFOs themselves. Nothing is copied here, and nothing ends here when this process
// does. Outputs are open for reading too, so that they do not break when containerd
// goes away and comes back: writers wait while nobody reads.
type streams struct {
	stdin        *stdio.Input
	in, out, err *os.File
	// awaited are further ends of outputs, held until the process has its own.
	awaited []*os.File
}

var _ runc.IO = ioOf{}

// ioOf gives go-runc only what it needs of streams: Set.
type ioOf struct {
	runc.IO
	*streams
}

// Set hands the files to a command, which passes them on to the container.
func (s ioOf) Set(c *exec.Cmd) { c.Stdin, c.Stdout, c.Stderr = s.in, s.out, s.err }

// Close does nothing: see closeChild.
func (s ioOf) Close() error { return nil }

// openStreams opens the FIFOs, outputs as soon as somebody reads them; uid and gid own
// them if they are not root's.
func openStreams(ctx context.Context, s task.Stdio, uid, gid uint32) (_ *streams, err error) {
	out := &streams{}
	defer func() {
		if err != nil {
			err = errors.Join(err, out.close())
		}
	}()
	if s.Stdin == "" {
		if out.in, err = os.Open(os.DevNull); err != nil {
			return nil, err
		}
	} else {
		if out.stdin, err = stdio.OpenInput(s.Stdin, stdio.ForChild); err != nil {
			return nil, err
		}
		out.in = out.stdin.File
	}
	if out.out, err = out.output(ctx, s.Stdout); err != nil {
		return nil, err
	}
	if out.err, err = out.output(ctx, s.Stderr); err != nil {
		return nil, err
	}
	if uid == 0 && gid == 0 {
		return out, nil
	}
	for _, f := range []*os.File{out.in, out.out, out.err} {
		if f.Name() == os.DevNull {
			continue
		}
		if err := f.Chown(int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *streams) output(ctx context.Context, path string) (*os.File, error) {
	if path == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	// Not opened for good before: the reader would take its close for the end.
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeNamedPipe == 0 {
		return nil, fmt.Errorf("stdio %q is no FIFO: %w", path, errdefs.ErrInvalidArgument)
	} else if err != nil && !strings.Contains(path, "://") {
		return nil, fmt.Errorf("stdio: %w", err)
	}
	if !strings.Contains(path, "://") { // stdio.Output refuses the others
		reader, err := stdio.AwaitReader(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("stdio: %w", err)
		}
		s.awaited = append(s.awaited, reader)
	}
	return stdio.Output(path, stdio.ForChild)
}

// closeChild closes what the process has copies of; the input stays open for
// containerd's clients to come and go.
func (s *streams) closeChild() error {
	var errs []error
	for _, f := range append([]*os.File{s.in, s.out, s.err}, s.awaited...) {
		if f == nil {
			continue
		}
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.in, s.out, s.err, s.awaited = nil, nil, nil, nil
	return errors.Join(errs...)
}

func (s *streams) close() error {
	err := s.closeChild()
	if s.stdin != nil {
		err = errors.Join(err, s.stdin.CloseStdin())
	}
	return err
}

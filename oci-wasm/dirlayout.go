package ociwasm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// openDir opens a layout that is a directory; no link in it leads out of it.
func openDir(_ context.Context, name string) (*Layout, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	l := &Layout{close: root.Close, open: func(blob string) (content.ReaderAt, error) {
		f, err := root.OpenFile(blob, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is not in %s: %w", blob, name, errdefs.ErrNotFound)
		}
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s in %s is no regular file: %w", blob, name, errdefs.ErrInvalidArgument)
		}
		if err != nil {
			return nil, closed(f, err)
		}
		return fileReader{f, info.Size()}, nil
	}}
	if err := l.readIndex(name); err != nil {
		return nil, closed(root, err)
	}
	return l, nil
}

type fileReader struct {
	*os.File
	size int64
}

// Size implements content.ReaderAt.
func (r fileReader) Size() int64 { return r.size }

package ociwasm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// compile makes the artifact unless another process did meanwhile. remember says
// that the failure is the module's or the compiler's and worth remembering.
func (c *Cache) compile(ctx context.Context, name string, k Key, open func(context.Context) (io.ReadCloser, error)) (remember bool, err error) {
	if c.opts.Compiler == nil {
		return false, fmt.Errorf("the artifact of %s is not there and this cache has no compiler: %w", k.Digest, errdefs.ErrFailedPrecondition)
	}
	if !priorityOf(ctx).isLow() {
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		case <-ctx.Done():
			return false, fmt.Errorf("waiting for a free compiler: %w", context.Cause(ctx))
		}
	}
	lock, err := c.lockToMake(ctx, name)
	if err != nil {
		return false, fmt.Errorf("waiting for another process that compiles %s: %w", k.Digest, err)
	}
	if lock == nil {
		return false, nil
	}
	defer func() { _ = lock.Close() }() // gives up the lock, which is all it is for
	if made, err := c.made(name); made || err != nil {
		return false, err
	}
	module, err := c.stage(ctx, k, open)
	if err != nil {
		return false, fmt.Errorf("reading module %s: %w", k.Digest, err)
	}
	defer func() { _ = module.Close() }() // has no name and goes with it
	tmp := path.Join(tmpDir, name+"."+rand.Text())
	if err := c.root.Mkdir(tmp, 0o700); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, c.remove(tmp)) }() // gone already when all went well
	if err := c.opts.Compiler.Compile(ctx, k.Engine, module, filepath.Join(c.dir, tmp)); err != nil {
		return !errors.Is(err, context.Canceled), fmt.Errorf("compiling module %s with engine %s: %w", k.Digest, k.Engine, err)
	}
	if err := c.seal(tmp); err != nil {
		return true, fmt.Errorf("artifact of module %s by engine %s: %w", k.Digest, k.Engine, err)
	}
	if err := c.root.Rename(tmp, path.Join(artifactsDir, name)); err != nil {
		return false, err
	}
	if err := syncPath(c.root, artifactsDir); err != nil {
		return false, err
	}
	if err := c.evict(name); err != nil {
		return false, fmt.Errorf("making room in the compile cache: %w", err)
	}
	return false, nil
}

// stage copies the module to a file without a name and checks its digest.
func (c *Cache) stage(ctx context.Context, k Key, open func(context.Context) (io.ReadCloser, error)) (*os.File, error) {
	r, err := open(ctx)
	if err != nil {
		return nil, err
	}
	f, err := c.unnamed()
	if err != nil {
		return nil, closed(r, err)
	}
	v := k.Digest.Verifier()
	n, err := io.Copy(io.MultiWriter(f, v), io.LimitReader(&ctxReader{ctx, r}, MaxModuleSize+1))
	err = closed(r, err)
	switch {
	case err != nil:
	case n > MaxModuleSize:
		err = fmt.Errorf("it has more than %d bytes: %w", int64(MaxModuleSize), errdefs.ErrInvalidArgument)
	case !v.Verified():
		err = fmt.Errorf("its %d bytes have another digest: %w", n, errdefs.ErrInvalidArgument)
	default:
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// unnamed makes a file in tmp that has no name any more; O_TMPFILE would do the
// same on fewer file systems.
func (c *Cache) unnamed() (*os.File, error) {
	name := path.Join(tmpDir, "module."+rand.Text())
	f, err := c.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := c.root.Remove(name); err != nil {
		return nil, closed(f, err)
	}
	return f, nil
}

// maxArtifactFiles bounds what a compiler leaves.
const maxArtifactFiles = 4096

// seal checks what a compiler left, takes it over and makes it durable: plain files
// and directories alone, no second name anywhere, nothing empty.
func (c *Cache) seal(dir string) error {
	n := 0
	err := c.walk(dir, func(name string, st *unix.Stat_t) error {
		n++
		mode := os.FileMode(0o444)
		switch {
		case n > maxArtifactFiles:
			return fmt.Errorf("more than %d files: %w", maxArtifactFiles, errdefs.ErrResourceExhausted)
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			mode = 0o555
			if name == dir {
				mode = 0o700 // lease changes it: renaming needs write permission
			}
		case st.Mode&unix.S_IFMT != unix.S_IFREG:
			return fmt.Errorf("%s is neither a file nor a directory: %w", path.Base(name), errdefs.ErrPermissionDenied)
		case st.Nlink != 1:
			return fmt.Errorf("%s has %d names: %w", path.Base(name), st.Nlink, errdefs.ErrPermissionDenied)
		}
		if uid := uint32(os.Geteuid()); st.Uid != uid {
			if err := c.root.Lchown(name, os.Geteuid(), os.Getegid()); err != nil {
				return err
			}
		}
		if err := c.root.Chmod(name, mode); err != nil {
			return err
		}
		return syncPath(c.root, name)
	})
	if err == nil && n < 2 {
		err = fmt.Errorf("the compiler wrote nothing: %w", errdefs.ErrInternal)
	}
	return err
}

// maxArtifactDepth bounds directories within directories.
const maxArtifactDepth = 16

// walk visits dir and all below it, without following links, parents first. It
// reads directories piecemeal, since a compiler that was taken over may have filled
// them; visit ends that by an error.
func (c *Cache) walk(dir string, visit func(name string, st *unix.Stat_t) error) error {
	if strings.Count(dir, "/") > maxArtifactDepth {
		return fmt.Errorf("directories are nested more than %d deep: %w", maxArtifactDepth, errdefs.ErrResourceExhausted)
	}
	info, err := c.root.Lstat(dir)
	if err != nil {
		return err
	}
	st, err := statOf(info)
	if err != nil {
		return err
	}
	if err := visit(dir, st); err != nil || !info.IsDir() {
		return err
	}
	f, err := c.root.OpenFile(dir, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	for err == nil {
		var entries []os.DirEntry
		entries, err = f.ReadDir(256)
		for _, e := range entries {
			if err := c.walk(path.Join(dir, e.Name()), visit); err != nil {
				return closed(f, err)
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return closed(f, err)
}

func syncPath(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	return closed(f, f.Sync())
}

// ctxReader ends a copy when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

package ociwasm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sweep removes what processes that were killed left in tmp. Whatever another
// process is making right now is behind that artifact's lock.
func (c *Cache) sweep() error {
	entries, err := fs.ReadDir(c.root.FS(), tmpDir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), ".")
		if len(name) != 64 { // no artifact's: a module of which the name was not yet removed
			if info, err := e.Info(); err != nil || time.Since(info.ModTime()) < time.Hour {
				continue
			}
			errs = append(errs, c.remove(path.Join(tmpDir, e.Name())))
			continue
		}
		f, err := c.tryLock(name, unix.LOCK_EX, true)
		if f != nil {
			err = closed(f, errors.Join(c.remove(path.Join(tmpDir, e.Name())), c.dropLock(name)))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// dropLock removes the lock file, which the caller holds, of what is not there.
func (c *Cache) dropLock(name string) error {
	if _, err := c.root.Lstat(path.Join(artifactsDir, name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.root.Remove(path.Join(locksDir, name))
}

// usage is what one artifact takes.
type usage struct {
	name  string
	bytes int64
	used  time.Time
}

// evict removes the least recently used artifacts that nobody has a lease on until
// the rest fits. keep, just made, stays.
func (c *Cache) evict(keep string) error {
	if c.opts.MaxBytes < 0 {
		return nil
	}
	all, total, err := c.usage()
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b usage) int { return a.used.Compare(b.used) })
	for _, u := range all {
		if total <= c.opts.MaxBytes {
			return nil
		}
		if u.name == keep {
			continue
		}
		gone, err := c.drop(u.name)
		if err != nil {
			return err
		}
		if gone {
			total -= u.bytes
		}
	}
	return nil
}

// drop removes an artifact unless it is in use.
func (c *Cache) drop(name string) (bool, error) {
	f, err := c.tryLock(name, unix.LOCK_EX, true)
	if f == nil || err != nil {
		return false, err
	}
	artifact, tmp := path.Join(artifactsDir, name), path.Join(tmpDir, name+"."+rand.Text())
	err = c.root.Chmod(artifact, 0o700) // or nobody but root may rename it
	if err == nil {
		err = c.root.Rename(artifact, tmp)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, closed(f, err)
	}
	err = c.remove(tmp)
	if err == nil {
		err = c.dropLock(name)
	}
	return err == nil, closed(f, err)
}

// remove removes a tree whose directories may be read-only.
func (c *Cache) remove(tree string) error {
	// As far as it gets: seal got no further when it made them so.
	_ = c.walk(tree, func(name string, st *unix.Stat_t) error {
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return c.root.Chmod(name, 0o700)
		}
		return nil
	})
	return c.root.RemoveAll(tree)
}

func (c *Cache) usage() (all []usage, total int64, err error) {
	entries, err := fs.ReadDir(c.root.FS(), artifactsDir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		u := usage{name: e.Name()}
		err := c.walk(path.Join(artifactsDir, u.name), func(_ string, st *unix.Stat_t) error {
			u.bytes += st.Blocks * 512
			return nil
		})
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue // another process removed it
			}
			return nil, 0, err
		}
		if info, err := c.root.Lstat(path.Join(locksDir, u.name)); err == nil {
			u.used = info.ModTime()
		}
		all = append(all, u)
		total += u.bytes
	}
	return all, total, nil
}

func statOf(info os.FileInfo) (*unix.Stat_t, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("%s: the file system gives no status", info.Name())
	}
	return &unix.Stat_t{Mode: st.Mode, Uid: st.Uid, Nlink: st.Nlink, Blocks: st.Blocks}, nil
}

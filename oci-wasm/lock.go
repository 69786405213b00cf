package ociwasm

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often a lock that another process holds is tried.
const lockPoll = 20 * time.Millisecond

// lease is an artifact in use: a shared lock and how many share it here.
type lease struct {
	file *os.File
	refs int
}

// lease returns the artifact if it is complete, else nil.
func (c *Cache) lease(name string) (*Artifact, error) {
	if a := c.share(name, nil); a != nil {
		return a, nil
	}
	f, err := c.tryLock(name, unix.LOCK_SH, false)
	if f == nil || err != nil {
		return nil, err
	}
	artifact := path.Join(artifactsDir, name)
	info, err := c.root.Lstat(artifact)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, f.Close()
	}
	if err == nil && info.Mode().Perm() != 0o555 {
		err = c.root.Chmod(artifact, 0o555)
	}
	if err != nil {
		return nil, closed(f, err)
	}
	if err := touch(f); err != nil {
		return nil, closed(f, err)
	}
	return c.share(name, f), nil
}

// share adds a user to the lease of name, made from f when there is none; f may be
// nil, then nil is returned when there is none.
func (c *Cache) share(name string, f *os.File) *Artifact {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.leases[name]
	switch {
	case l != nil && f != nil:
		_ = f.Close() // somebody was faster; its lock serves both
	case l == nil && f == nil:
		return nil
	case l == nil:
		l = &lease{file: f}
		c.leases[name] = l
	}
	l.refs++
	return &Artifact{Dir: c.dir + "/" + artifactsDir + "/" + name, Hit: true, release: func() { c.unshare(name, l) }}
}

func (c *Cache) unshare(name string, l *lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.refs--; l.refs == 0 && c.leases[name] == l {
		delete(c.leases, name)
		_ = touch(l.file)  // only the order of eviction depends on it
		_ = l.file.Close() // gives up the lock, which is all it is for
	}
}

// tryLock takes the lock of name, or returns nil when somebody else has it, or when
// there is none and make is false.
func (c *Cache) tryLock(name string, how int, create bool) (*os.File, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	for {
		f, err := c.root.OpenFile(path.Join(locksDir, name), flags, 0o600)
		if errors.Is(err, fs.ErrNotExist) && !create {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		switch err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); {
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, f.Close()
		case err != nil:
			return nil, closed(f, err)
		}
		// Whoever removes an artifact removes its lock file too; a lock on a removed
		// file would keep nobody out.
		mine, err := f.Stat()
		if err != nil {
			return nil, closed(f, err)
		}
		if now, err := c.root.Lstat(path.Join(locksDir, name)); err == nil && os.SameFile(mine, now) {
			return f, nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, closed(f, err)
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// lockToMake waits for the exclusive lock of name, or returns nil when the artifact
// is there meanwhile: whoever made it may use it, and keep the lock shared, for ever.
func (c *Cache) lockToMake(ctx context.Context, name string) (*os.File, error) {
	for {
		f, err := c.tryLock(name, unix.LOCK_EX, true)
		if f != nil || err != nil {
			return f, err
		}
		// Shared, since an artifact that is just being removed is there too.
		f, err = c.tryLock(name, unix.LOCK_SH, false)
		if err != nil {
			return nil, err
		}
		if f != nil {
			made, err := c.made(name)
			if err = closed(f, err); made || err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(lockPoll):
		}
	}
}

// made says whether the artifact is there; only under its lock that stays true.
func (c *Cache) made(name string) (bool, error) {
	_, err := c.root.Lstat(path.Join(artifactsDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// touch makes now the time of last use.
func touch(f *os.File) error {
	now := unix.NsecToTimeval(time.Now().UnixNano())
	return unix.Futimes(int(f.Fd()), []unix.Timeval{now, now})
}

package mnt

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// unmountRounds bounds how often mounts that cover each other are looked for anew.
const unmountRounds = 64

// UnmountAll unmounts everything at and below a trusted path, held open or not
// (MNT_DETACH), and what propagated from there. Nothing there is no error.
func UnmountAll(prefix string) error {
	prefix, err := filepath.Abs(prefix)
	if err != nil {
		return err
	}
	if unmountRoot(prefix) {
		return nil
	}
	for range unmountRounds {
		mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(prefix))
		if err != nil {
			return fmt.Errorf("unmount all below %s: %w", prefix, err)
		}
		if len(mounts) == 0 {
			return nil
		}
		// A mount takes those below it along, so the shortest path goes first.
		slices.SortFunc(mounts, func(a, b *mountinfo.Info) int { return cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)) })
		done := false
		for i, m := range mounts {
			if done && below(mounts[:i], m.Mountpoint) {
				continue
			}
			err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			if err == nil {
				done = true
			} else if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				return &os.PathError{Op: "unmount", Path: m.Mountpoint, Err: err}
			}
		}
		if !done {
			return fmt.Errorf("unmount all below %s: %d mounts cannot be reached, the first is %s", prefix, len(mounts), mounts[0].Mountpoint)
		}
	}
	return fmt.Errorf("unmount all below %s: mounts keep appearing", prefix)
}

// unmountRoot unmounts what is mounted at a path, with everything below, and says whether
// nothing else can be: what is left there is an empty directory, or nothing. The table of
// all mounts, which is long on a node with many pods and cannot be read while
// somebody mounts, has not to be read then.
func unmountRoot(path string) bool {
	var err error
	for range unmountRounds { // mounts may lie upon one another
		if err = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			break
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return true
	}
	if !errors.Is(err, unix.EINVAL) {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read
	_, err = f.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

// below says whether a mount was taken along by one before it.
func below(before []*mountinfo.Info, path string) bool {
	return slices.ContainsFunc(before, func(m *mountinfo.Info) bool {
		return strings.HasPrefix(path, m.Mountpoint+"/")
	})
}

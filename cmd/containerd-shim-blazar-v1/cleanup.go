package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// cleanUp removes what is left of one container: a Linux container that nobody serves
// any more, and the mounts below its bundle.
// The bundle itself is containerd's to remove, which it does next, and which a
// busy mount would make it fail at; hence MNT_DETACH. A pod that lives is not
// harmed: its containers' mounts are below its own root, not in the bundle.
func cleanUp(id, bundle string) (*exit, error) {
	dir, err := bundleDir(id, bundle)
	if err != nil || dir == "" {
		return nil, err
	}
	e, err := endContainer(id, dir)
	if err != nil {
		return e, errors.Join(err, unmount(dir))
	}
	if err := unmount(dir); err != nil {
		return e, err
	}
	return e, removeRecord(id, dir)
}

// unmount unmounts what is mounted below a bundle.
func unmount(dir string) error {
	if bare(dir) {
		return nil
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	var errs []error
	for _, path := range mountsBelow(table, dir) {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		// Gone already: it went with a mount it shared its life with.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// bundleDir checks that bundle is the bundle of the container id and returns its
// path as mount tables spell it; empty when there is no bundle any more.
func bundleDir(id, bundle string) (string, error) {
	if id == "" || id == "." || id == ".." || filepath.Base(id) != id {
		return "", fmt.Errorf("-id %q is no container id", id)
	}
	if bundle == "" {
		// containerd starts delete in the bundle.
		wd, err := os.Getwd()
		if err != nil {
			return "", fmt.Errorf("-bundle is missing and the working directory is unknown: %w", err)
		}
		bundle = wd
	}
	if !filepath.IsAbs(bundle) {
		return "", fmt.Errorf("-bundle %q is no absolute path", bundle)
	}
	if filepath.Base(bundle) != id {
		return "", fmt.Errorf("-bundle %q is not the bundle of container %q: its last element must be the id", bundle, id)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(bundle))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	dir := filepath.Join(parent, id)
	switch st, err := os.Lstat(dir); {
	case errors.Is(err, os.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case !st.IsDir():
		return "", fmt.Errorf("-bundle %q is no directory", bundle)
	}
	return dir, nil
}

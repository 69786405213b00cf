package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// bare says that nothing is mounted below a bundle, as is the rule for wasm containers,
// without the table of all mounts: on a node it has hundreds, each of which the
// kernel spells out. It is bare where no entry is a mount and no directory has any.
func bare(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		var st unix.Statx_t
		if unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st) != nil ||
			st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 || st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 ||
			e.IsDir() && !empty(path) {
			return false
		}
	}
	return true
}

func empty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read
	_, err = f.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

package node

import (
	"archive/tar"
	"io"
	"maps"
	"slices"
)

// writeTar writes files in the order of their names.
func writeTar(w io.Writer, files map[string][]byte, mode int64) error {
	t := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content := files[name]
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}
	return t.Close()
}

package ociwasm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
)

// File is a file or, with fs.ModeDir in Mode, a directory of a layer.
type File struct {
	// Path is absolute and clean.
	Path string
	Mode fs.FileMode
	Data []byte
}

// layerTar writes files, sorted and with their directories, all of root and of one
// time: the same input gives the same bytes.
func layerTar(files []File, at time.Time) ([]byte, error) {
	entries := map[string]File{}
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" {
			return nil, fmt.Errorf("path %q must be absolute and clean: %w", f.Path, errdefs.ErrInvalidArgument)
		}
		if _, ok := entries[f.Path]; ok {
			return nil, fmt.Errorf("path %s is given twice: %w", f.Path, errdefs.ErrInvalidArgument)
		}
		entries[f.Path] = f
	}
	for _, f := range files {
		for dir := path.Dir(f.Path); dir != "/"; dir = path.Dir(dir) {
			if e, ok := entries[dir]; ok && !e.Mode.IsDir() {
				return nil, fmt.Errorf("path %s is below the file %s: %w", f.Path, dir, errdefs.ErrInvalidArgument)
			} else if !ok {
				entries[dir] = File{Path: dir, Mode: fs.ModeDir | 0o755}
			}
		}
	}
	paths := make([]string, 0, len(entries))
	for p := range entries {
		paths = append(paths, p)
	}
	slices.Sort(paths) // a directory before what it holds
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, p := range paths {
		if err := writeEntry(w, entries[p], at); err != nil {
			return nil, fmt.Errorf("layer entry %s: %w", p, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeEntry(w *tar.Writer, f File, at time.Time) error {
	h := &tar.Header{
		Name: strings.TrimPrefix(f.Path, "/"), Mode: int64(f.Mode.Perm()), ModTime: at,
		Typeflag: tar.TypeReg, Size: int64(len(f.Data)), Format: tar.FormatPAX,
	}
	if f.Mode.IsDir() {
		h.Typeflag, h.Size, h.Name = tar.TypeDir, 0, h.Name+"/"
	}
	if f.Mode&fs.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(f.Data[:h.Size])
	return err
}

func gzipped(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

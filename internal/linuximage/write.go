package linuximage

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
)

// Write makes all images and writes their tars into out, which must exist. It returns
// the names of those that were not there with the same bytes already.
func Write(ctx context.Context, out, programs string) ([]string, error) {
	out, err := filepath.Abs(out)
	if err != nil {
		return nil, err
	}
	images, err := All(ctx, out, programs)
	if err != nil {
		return nil, err
	}
	var changed []string
	for _, i := range images {
		var b bytes.Buffer
		if err := i.WriteArchive(&b); err != nil {
			return changed, err
		}
		path := filepath.Join(out, i.Tar+".tar")
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b.Bytes()) {
			continue
		}
		if err := replace(path, b.Bytes()); err != nil {
			return changed, err
		}
		changed = append(changed, i.Tar)
	}
	return changed, nil
}

// replace writes a file at once: who reads it meanwhile has the old one or the new.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

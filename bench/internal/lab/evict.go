package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
)

// evictModule removes every artifact of a module from the compile cache whose
// directory of artifacts is dir. That there is none is an error: then the pod
// before was not compiled for, and what is measured is not what is said.
func evictModule(dir string, module digest.Digest) error {
	artifacts, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	evicted := 0
	for _, a := range artifacts {
		path := filepath.Join(dir, a.Name())
		of, err := moduleOf(path)
		if err != nil {
			return err
		}
		if of != module.Encoded() {
			continue
		}
		// The cache's directories are read-only, also for whoever may write them.
		if err := os.Chmod(path, 0o700); err != nil {
			return err
		}
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		evicted++
	}
	if evicted == 0 {
		return fmt.Errorf("no artifact of %s in %s: the pod before did not leave one", module, dir)
	}
	return nil
}

// moduleOf is the digest that an engine's manifest in the artifact says, in hex; empty
// if there is none.
func moduleOf(artifact string) (string, error) {
	files, err := filepath.Glob(filepath.Join(artifact, "*.json"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		var manifest struct {
			Digest string `json:"digest"`
		}
		// The first line is a checksum (engines/internal/artifact).
		_, content, _ := bytes.Cut(b, []byte("\n"))
		if json.Unmarshal(content, &manifest) == nil && manifest.Digest != "" {
			return manifest.Digest, nil
		}
	}
	return "", nil
}

package wazero

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
)

// Files of an artifact, beside the directory that wazero's cache makes.
const (
	manifestFile = "wazero.json"
	moduleFile   = "module.wasm" // as compiled: wazero decodes it at every load
)

// manifest describes an artifact; its file has its own checksum in a line before
// the JSON. Checksums find damage, not forgery: whoever
// can write the directory can run code anyway.
type manifest struct {
	Version  string            `json:"version"`
	Settings string            `json:"settings"`
	Digest   string            `json:"digest"` // SHA-256 of the module given to Compile
	Files    map[string]uint32 `json:"files"`  // CRC-32C by slash-separated path
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeManifest records every file below dir and makes the artifact durable.
func writeManifest(dir string, m manifest) error {
	m.Files = map[string]uint32{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		m.Files[path] = crc32.Checksum(b, castagnoli)
		return err
	})
	if err != nil {
		return fmt.Errorf("record the artifact in %s: %w", dir, err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("%08x\n", crc32.Checksum(b, castagnoli))
	return writeFile(filepath.Join(dir, manifestFile), append([]byte(sum), b...))
}

// writeFile writes and syncs a new file.
func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// readManifest reads the manifest of the artifact in dir and makes sure that
// this build of the engine wrote it.
func readManifest(dir string, version, settings string) (m manifest, err error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if os.IsNotExist(err) {
		return m, fmt.Errorf("%s holds no artifact of the engine wazero: %w", dir, errdefs.ErrNotFound)
	}
	if err != nil {
		return m, err
	}
	sum, b, _ := bytes.Cut(b, []byte("\n"))
	if string(sum) != fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli)) {
		return m, damaged(dir, manifestFile+" differs from its checksum")
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, damaged(dir, fmt.Sprintf("%s: %v", manifestFile, err))
	}
	if m.Version != version || m.Settings != settings {
		return m, fmt.Errorf("the artifact in %s is of wazero %s (%s) and this is %s (%s); compile the module again: %w",
			dir, m.Version, m.Settings, version, settings, errdefs.ErrFailedPrecondition)
	}
	return m, nil
}

// verify checks every file's checksum and returns the module.
func (m manifest) verify(dir string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // opened for reading
	var module []byte
	for name, sum := range m.Files {
		b, err := root.ReadFile(name)
		if err != nil {
			return nil, damaged(dir, err.Error())
		}
		if crc32.Checksum(b, castagnoli) != sum {
			return nil, damaged(dir, name+" differs from its checksum")
		}
		if name == moduleFile {
			module = b
		}
	}
	if module == nil {
		return nil, damaged(dir, "no "+moduleFile)
	}
	return module, nil
}

func damaged(dir, what string) error {
	return fmt.Errorf("the artifact in %s is damaged (%s); remove it and compile the module again: %w", dir, what, errdefs.ErrDataLoss)
}

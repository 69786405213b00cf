// Package artifact describes and checks the directory that an engine compiles a
// module into: a manifest beside the engine's own files says who wrote them, what
// the module looks like, and every file's checksum. Checksums find damage, not
// forgery: whoever can write the directory can run code anyway.
package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"blazar/engines"
	"blazar/engines/internal/prepare"

	"github.com/containerd/errdefs"
)

// Manifest describes an artifact; its file has its own checksum in a line before
// the JSON.
type Manifest struct {
	Version  string          `json:"version"`
	Settings string          `json:"settings"`
	Digest   string          `json:"digest"` // SHA-256 of the module given to Compile
	Shape    prepare.Shape   `json:"shape"`
	Files    map[string]File `json:"files"` // by slash-separated path
}

// fileName is the manifest's name: the engine's, so that an artifact of another
// engine is not taken for a damaged one.
func fileName(engine string) string { return engine + ".json" }

// Write records every file below dir, written by the engine of that Info from
// module, and makes the manifest durable.
func Write(dir string, by engines.Info, module []byte, shape prepare.Shape) error {
	digest := sha256.Sum256(module)
	return write(dir, by.Name, Manifest{
		Version: by.Version, Settings: by.Settings, Digest: hex.EncodeToString(digest[:]), Shape: shape,
	})
}

func write(dir, engine string, m Manifest) error {
	m.Files = map[string]File{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		m.Files[path], err = record(filepath.Join(dir, path))
		return err
	})
	if err != nil {
		return fmt.Errorf("record the artifact in %s: %w", dir, err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	sum := fmt.Sprintf("%08x\n", crc32.ChecksumIEEE(b))
	return WriteFile(filepath.Join(dir, fileName(engine)), append([]byte(sum), b...))
}

// WriteFile writes and syncs a new file of an artifact.
func WriteFile(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the artifact: %w", err)
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write the artifact: %w", err)
	}
	return nil
}

// Read reads the manifest of the artifact in dir and makes sure that the engine of
// that Info wrote it: errdefs.ErrNotFound where there is none,
// errdefs.ErrFailedPrecondition where another build did.
func Read(dir string, by engines.Info) (*Manifest, error) {
	name := fileName(by.Name)
	b, err := os.ReadFile(filepath.Join(dir, name))
	if os.IsNotExist(err) {
		return nil, fmt.Errorf("%s holds no artifact of the engine %s: %w", dir, by.Name, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	sum, b, _ := bytes.Cut(b, []byte("\n"))
	if string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(b)) {
		return nil, Damaged(dir, name+" differs from its checksum")
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, Damaged(dir, fmt.Sprintf("%s: %v", name, err))
	}
	if m.Version != by.Version || m.Settings != by.Settings {
		return nil, fmt.Errorf("the artifact in %s is of %s %s (%s) and this is %s (%s); compile the module again: %w",
			dir, by.Name, m.Version, m.Settings, by.Version, by.Settings, errdefs.ErrFailedPrecondition)
	}
	return m, nil
}

// Verify checks every file of the artifact. A file that has not been written to since
// it was recorded is as good as it was; any other is read.
func (m *Manifest) Verify(dir string) error {
	for name, f := range m.Files {
		path, err := localPath(dir, name)
		if err != nil {
			return err
		}
		if now, err := stat(path); err == nil && now == f.identity {
			continue
		}
		sum, err := checksum(path)
		if err != nil {
			return Damaged(dir, err.Error())
		}
		if sum != f.CRC {
			return Damaged(dir, name+" differs from its checksum")
		}
	}
	return nil
}

// ReadFile reads one file of the artifact and checks it.
func (m *Manifest) ReadFile(dir, name string) ([]byte, error) {
	f, ok := m.Files[name]
	if !ok {
		return nil, Damaged(dir, "no "+name)
	}
	path, err := localPath(dir, name)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, Damaged(dir, err.Error())
	}
	if crc32.ChecksumIEEE(b) != f.CRC {
		return nil, Damaged(dir, name+" differs from its checksum")
	}
	return b, nil
}

func localPath(dir, name string) (string, error) {
	if !filepath.IsLocal(name) {
		return "", Damaged(dir, fmt.Sprintf("it names the file %q", name))
	}
	return filepath.Join(dir, name), nil
}

// Damaged is the error for an artifact that cannot be used as it is:
// errdefs.ErrDataLoss.
func Damaged(dir, what string) error {
	return fmt.Errorf("the artifact in %s is damaged (%s); remove it and compile the module again: %w", dir, what, errdefs.ErrDataLoss)
}

package install

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// manifestVersion is written into manifests; another one is refused.
const manifestVersion = 1

// manifest records what was written.
type manifest struct {
	Version int `json:"version"`
	// Files are the hashes of what was written, by path. More than one while a
	// run is under way: what was there before, and what will be.
	Files map[string][]string `json:"files"`
	// Dirs are the directories that were made, in order.
	Dirs []string `json:"dirs"`
	// Import is the change to containerd's main configuration, if one was made.
	Import *importEdit `json:"import,omitempty"`
}

// importEdit is a text that was put into a file of somebody else's.
type importEdit struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// readManifest reads the manifest; an empty one if there is none.
func (o Options) readManifest() (*manifest, error) {
	path := o.real(o.manifest())
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &manifest{Version: manifestVersion, Files: map[string][]string{}}, nil
	}
	if err != nil {
		return nil, err
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s: %w; remove it to start anew: files that are there already are then treated as not installed by blazar", path, err)
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("%s was written by another release of blazar (format %d, want %d): uninstall with that one first", path, m.Version, manifestVersion)
	}
	if m.Files == nil {
		m.Files = map[string][]string{}
	}
	return &m, nil
}

func (m *manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

// wrote says whether data is something that was written to path.
func (m *manifest) wrote(path string, data []byte) bool {
	return slices.Contains(m.Files[path], hash(data))
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

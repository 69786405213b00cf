package doctor

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// FileConfig is what matters here of containerd's configuration files, the main
// one and those it imports.
type FileConfig struct {
	// Files are those that were read, in order.
	Files []string
	// Sandboxers are the addresses of the proxy plugins of type sandbox, by name.
	Sandboxers map[string]string
	// Runtimes are CRI's runtime handlers, by name.
	Runtimes map[string]Runtime
	// UseLocalImagePull is that of the images plugin.
	UseLocalImagePull bool
}

// configFile is one file, of any version of the format.
type configFile struct {
	Imports      []string `toml:"imports"`
	ProxyPlugins map[string]struct {
		Type    string `toml:"type"`
		Address string `toml:"address"`
	} `toml:"proxy_plugins"`
	Plugins struct {
		Runtime CRI    `toml:"io.containerd.cri.v1.runtime"` // version 3 and newer
		Images  images `toml:"io.containerd.cri.v1.images"`
		Old     CRI    `toml:"io.containerd.grpc.v1.cri"` // version 2
	} `toml:"plugins"`
}

type images struct {
	UseLocalImagePull bool `toml:"use_local_image_pull"`
}

// ReadConfig reads the configuration at path, imports included, as containerd
// does: imports are relative to the file that names them, may be patterns, and
// come after it (cmd/containerd/server/config). root is put before every path.
func ReadConfig(root, path string) (*FileConfig, error) {
	c := &FileConfig{Sandboxers: map[string]string{}, Runtimes: map[string]Runtime{}}
	pending, seen := []string{path}, map[string]bool{}
	for len(pending) > 0 {
		path, pending = pending[0], pending[1:]
		if seen[path] {
			continue
		}
		seen[path] = true
		f, err := decodeConfig(filepath.Join("/", root, path))
		if err != nil {
			return nil, err
		}
		c.Files = append(c.Files, path)
		c.add(f)
		imports, err := resolveImports(root, path, f.Imports)
		if err != nil {
			return nil, err
		}
		pending = append(pending, imports...)
	}
	return c, nil
}

func decodeConfig(path string) (*configFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f configFile
	if err := toml.NewDecoder(bytes.NewReader(b)).Decode(&f); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			return nil, fmt.Errorf("%s:%d:%d: %w", path, row, column, err)
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &f, nil
}

func (c *FileConfig) add(f *configFile) {
	for name, p := range f.ProxyPlugins {
		if p.Type == "sandbox" || p.Type == sandboxPlugin {
			c.Sandboxers[name] = p.Address
		}
	}
	for _, runtimes := range []map[string]Runtime{f.Plugins.Old.Containerd.Runtimes, f.Plugins.Runtime.Containerd.Runtimes} {
		for name, r := range runtimes {
			c.Runtimes[name] = r
		}
	}
	c.UseLocalImagePull = c.UseLocalImagePull || f.Plugins.Images.UseLocalImagePull
}

func resolveImports(root, parent string, imports []string) ([]string, error) {
	var out []string
	for _, p := range imports {
		if !filepath.IsAbs(p) {
			p = filepath.Join(filepath.Dir(parent), p)
		}
		// containerd takes only the asterisk for a pattern; Glob of a plain name
		// would hide that the file is missing.
		if !strings.Contains(p, "*") {
			out = append(out, filepath.Clean(p))
			continue
		}
		prefix := filepath.Join("/", root)
		found, err := filepath.Glob(filepath.Join(prefix, p))
		if err != nil {
			return nil, fmt.Errorf("import %q of %s: %w", p, parent, err)
		}
		for _, one := range found {
			rel, err := filepath.Rel(prefix, one)
			if err != nil {
				return nil, err
			}
			out = append(out, filepath.Join("/", rel))
		}
	}
	return out, nil
}

package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Apply carries the plan out. After an error, running the same command again
// completes it.
func (p *Plan) Apply() error {
	if !p.Changes() && p.after != nil {
		return nil
	}
	if p.after != nil || len(p.before.Files) > 0 {
		if err := p.writeManifest(p.before); err != nil {
			return err
		}
	}
	for _, a := range p.actions {
		if err := p.do(a); err != nil {
			return fmt.Errorf("%s %s: %w", a.verb, a.path, err)
		}
	}
	if p.after != nil {
		return p.writeManifest(p.after)
	}
	if err := os.Remove(p.o.real(p.o.manifest())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, dir := range slices.Backward(p.rmdirs) {
		// A directory that others use by now is not empty, and stays.
		_ = os.Remove(p.o.real(dir))
	}
	return nil
}

func (p *Plan) do(a action) error {
	path := p.o.real(a.path)
	switch a.verb {
	case create, update:
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return writeFile(path, a.new, a.mode)
	case edit:
		return writeFile(path, a.new, a.mode)
	case remove:
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (p *Plan) writeManifest(m *manifest) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	path := p.o.real(p.o.manifest())
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := writeFile(path, b, modeText); err != nil {
		return fmt.Errorf("write the record of what is installed: %w", err)
	}
	return nil
}

package install

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
)

// Uninstall computes what a removal has to do.
func Uninstall(o Options) (*Plan, error) {
	m, err := o.readManifest()
	if err != nil {
		return nil, err
	}
	p := &Plan{o: o, before: m, rmdirs: slices.Clone(m.Dirs)}
	left := &manifest{Version: manifestVersion, Files: map[string][]string{}, Dirs: m.Dirs}
	for _, path := range slices.Sorted(maps.Keys(m.Files)) {
		if err := p.removeFile(m, path); err != nil {
			return nil, err
		}
		if last := p.actions[len(p.actions)-1]; last.verb == leave {
			left.Files[path] = m.Files[path]
		}
	}
	if m.Import != nil {
		if err := p.dropImport(m.Import); err != nil {
			return nil, err
		}
	}
	if len(left.Files) > 0 {
		p.after = left
	}
	return p, nil
}

// removeFile decides on a file of the manifest that shall go.
func (p *Plan) removeFile(m *manifest, path string) error {
	old, _, err := readFile(p.o.real(path))
	if err != nil {
		return err
	}
	a := action{verb: remove, path: path, old: old}
	switch {
	case old == nil:
		a.verb, a.note = keep, "is gone already"
	case m.wrote(path, old):
	case p.o.Force:
		a.note = "changed by hand"
	default:
		a.verb, a.note = leave, "changed by hand; --force removes it"
	}
	p.actions = append(p.actions, a)
	return nil
}

// dropImport takes the import out of containerd's configuration, unless somebody
// else's drop-ins depend on it by now.
func (p *Plan) dropImport(e *importEdit) error {
	old, mode, err := readFile(p.o.real(e.Path))
	if err != nil {
		return err
	}
	if old == nil {
		return nil
	}
	o := p.o
	o.ContainerdConfig = e.Path // where it was installed, whatever is said now
	others, err := filepath.Glob(o.real(o.pattern()))
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(path string) bool { return filepath.Base(path) == dropInName })
	if len(others) > 0 {
		p.actions = append(p.actions, action{verb: leave, path: e.Path, note: "its import serves " + filepath.Base(others[0])})
		return nil
	}
	changed, ok := p.o.removeImport(old, e.Text)
	if !ok || bytes.Equal(changed, old) {
		p.actions = append(p.actions, action{verb: leave, path: e.Path, note: "its import was changed by hand"})
		return nil
	}
	p.actions = append(p.actions, action{verb: edit, path: e.Path, old: old, new: changed, mode: mode})
	return nil
}

package install

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// Install computes what an installation has to do. The plan comes with the error
// where files are in the way, so that it can be shown.
func Install(o Options) (*Plan, error) {
	m, err := o.readManifest()
	if err != nil {
		return nil, err
	}
	p := &Plan{o: o, after: &manifest{Version: manifestVersion, Files: map[string][]string{}, Dirs: slices.Clone(m.Dirs), Import: m.Import}}
	files, err := o.wanted()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := p.addFile(m, f); err != nil {
			return nil, err
		}
	}
	if err := p.addImport(m); err != nil {
		return nil, err
	}
	if err := p.dropObsolete(m); err != nil {
		return nil, err
	}
	p.addDirs()
	p.before = union(m, p.after)
	if len(p.conflicts) > 0 {
		return p, fmt.Errorf("changed by hand, or not written by blazar: %s; --force overwrites: %w", strings.Join(p.conflicts, ", "), errdefs.ErrFailedPrecondition)
	}
	return p, nil
}

// addFile decides on one file.
func (p *Plan) addFile(m *manifest, f file) error {
	old, mode, err := readFile(p.o.real(f.path))
	if err != nil {
		return err
	}
	same := old != nil && bytes.Equal(old, f.data)
	a := action{verb: update, path: f.path, old: old, new: f.data, mode: f.mode}
	switch {
	case old == nil:
		a.verb, a.note = create, fmt.Sprintf("%d bytes, mode %04o", len(f.data), f.mode)
	case same && mode == f.mode:
		a.verb = keep
	case same:
		a.note = fmt.Sprintf("mode %04o -> %04o", mode, f.mode)
	case m.wrote(f.path, old):
	default:
		a.note = "changed by hand, or not written by blazar"
		if !p.o.Force {
			p.conflicts = append(p.conflicts, f.path)
		}
	}
	p.actions = append(p.actions, a)
	// A file that was there with the same contents before any installation is not
	// ours to remove.
	if _, ours := m.Files[f.path]; a.verb != keep || ours {
		p.after.Files[f.path] = []string{hash(f.data)}
	}
	return nil
}

// addImport sees to it that containerd reads the drop-in.
func (p *Plan) addImport(m *manifest) error {
	path := p.o.ContainerdConfig
	old, mode, err := readFile(p.o.real(path))
	if err != nil {
		return err
	}
	if old == nil {
		f := file{path, newConfig(p.o.pattern()), modeText}
		return p.addFile(m, f)
	}
	if hashes, ours := m.Files[path]; ours {
		p.after.Files[path] = hashes // removed again only while it is as written
	}
	done, err := p.o.imported(old)
	if err != nil {
		return err
	}
	if done {
		p.actions = append(p.actions, action{verb: keep, path: path, note: "imports " + p.o.dropIn()})
		return nil
	}
	changed, text, err := p.o.addImport(old)
	if err != nil {
		return err
	}
	p.actions = append(p.actions, action{verb: edit, path: path, old: old, new: changed, mode: mode})
	p.after.Import = &importEdit{Path: path, Text: text}
	return nil
}

// dropObsolete removes what an earlier installation wrote and this one does not.
func (p *Plan) dropObsolete(m *manifest) error {
	for _, path := range slices.Sorted(maps.Keys(m.Files)) {
		if _, wanted := p.after.Files[path]; !wanted {
			if err := p.removeFile(m, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// addDirs records the directories that will be made.
func (p *Plan) addDirs() {
	paths := []string{p.o.manifest()}
	for _, a := range p.actions {
		if a.verb == create {
			paths = append(paths, a.path)
		}
	}
	for _, path := range paths {
		for _, dir := range p.o.missingDirs(path) {
			if !slices.Contains(p.after.Dirs, dir) {
				p.after.Dirs = append(p.after.Dirs, dir)
			}
		}
	}
}

// union is the manifest while a run is under way.
func union(a, b *manifest) *manifest {
	u := &manifest{Version: manifestVersion, Files: maps.Clone(a.Files), Dirs: b.Dirs, Import: b.Import}
	if u.Files == nil {
		u.Files = map[string][]string{}
	}
	for path, hashes := range b.Files {
		for _, h := range hashes {
			if !slices.Contains(u.Files[path], h) {
				u.Files[path] = append(slices.Clone(u.Files[path]), h)
			}
		}
	}
	return u
}

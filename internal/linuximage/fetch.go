package linuximage

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// packages are those of which an image is made. Not busybox-static: its shell runs what
// is built into it without looking for a file of that name.
var packages = []string{"busybox", "libc6"}

// files are those of a root file system, by path.
type files map[string][]byte

// fetch returns the busybox of the distribution with the loader and the libraries that it
// needs. A copy is kept below cache, an absolute path.
func fetch(ctx context.Context, cache string) (files, error) {
	kept := filepath.Join(cache, "busybox")
	if f, err := readAll(kept); err == nil && len(f) > 0 {
		return f, nil
	}
	tmp, err := os.MkdirTemp(cache, ".busybox-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	root := filepath.Join(tmp, "root")
	if err := download(ctx, tmp, root); err != nil {
		return nil, fmt.Errorf("packages %q: %w; apt-get update gets new lists", packages, err)
	}
	found := files{}
	if err := found.add(root, "bin/busybox", "usr/bin/busybox"); err != nil {
		return nil, err
	}
	return found, found.write(kept, filepath.Join(tmp, "kept"))
}

// download fetches the packages and unpacks them, without installing any.
func download(ctx context.Context, tmp, root string) error {
	user := "APT::Sandbox::User=" // none: the one that apt drops to may not write here
	args := append([]string{"-q", "-o", user, "download"}, packages...)
	if _, err := run(ctx, tmp, "apt-get", args...); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(debs) != len(packages) {
		return errors.Join(err, fmt.Errorf("apt-get download brought %q", debs))
	}
	for _, deb := range debs {
		if _, err := run(ctx, tmp, "dpkg-deb", "-x", deb, root); err != nil {
			return err
		}
	}
	return nil
}

// add adds the first file that there is of those paths below root, its loader and its
// libraries, all under paths at which they are found without further configuration.
func (f files) add(root string, paths ...string) error {
	for _, path := range paths {
		content, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			continue
		}
		path = strings.TrimPrefix(path, "usr/")
		if f[path] != nil {
			return nil
		}
		f[path] = content
		return f.addNeeded(root, content)
	}
	return fmt.Errorf("the packages bring none of %q", paths)
}

func (f files) addNeeded(root string, program []byte) error {
	e, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return err
	}
	for _, p := range e.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		loader := make([]byte, p.Filesz)
		if _, err := p.ReadAt(loader, 0); err != nil {
			return err
		}
		name := strings.Trim(string(loader), "\x00/")
		// A link into the libraries' folder in some releases.
		matches, err := filepath.Glob(filepath.Join(root, "*lib*/*/", filepath.Base(name)))
		more, err2 := filepath.Glob(filepath.Join(root, "usr/*lib*/*/", filepath.Base(name)))
		if matches = append(matches, more...); err != nil || err2 != nil || len(matches) == 0 {
			return fmt.Errorf("the packages bring no %s: %w", name, errors.Join(err, err2))
		}
		if f[name], err = os.ReadFile(matches[0]); err != nil {
			return err
		}
	}
	libraries, err := e.ImportedLibraries()
	if err != nil {
		return err
	}
	for _, name := range libraries {
		if strings.HasPrefix(name, "ld-linux") {
			continue
		}
		matches, err := filepath.Glob(filepath.Join(root, "lib/*/", name))
		more, err2 := filepath.Glob(filepath.Join(root, "usr/lib/*/", name))
		if matches = append(matches, more...); err != nil || err2 != nil || len(matches) == 0 {
			return fmt.Errorf("the packages bring no %s: %w", name, errors.Join(err, err2))
		}
		path, err := filepath.Rel(root, matches[0])
		if err != nil {
			return err
		}
		if err := f.add(root, path); err != nil {
			return err
		}
	}
	return nil
}

// write makes the files below tmp and gives that folder the name kept at once.
func (f files) write(kept, tmp string) error {
	for path, content := range f {
		path = filepath.Join(tmp, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o755); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(kept); err != nil {
		return err
	}
	return os.Rename(tmp, kept)
}

// readAll reads all files below a folder.
func readAll(dir string) (files, error) {
	f := files{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil {
			f[name], err = os.ReadFile(path)
		}
		return err
	})
	return f, err
}

// run runs a program and returns its standard output.
func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Package install puts Blazar on a host and takes it off again: binaries, a
// systemd unit, and what containerd must be told.
//
// Everything is computed first, as a Plan, and a Plan can be printed instead of
// applied. What was written is recorded in a manifest with its hash, so that a
// second run changes nothing, a file that a person has changed is left alone
// unless forced, and uninstalling removes what was written and nothing else. The
// manifest is written before the files it lists: a run that was interrupted is
// completed by the next one.
package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Options say what to install where.
type Options struct {
	// Root is put before every path; empty for the real host. Texts inside files
	// do not contain it.
	Root string
	// Prefix is the directory of binaries, /usr/local unless a packager says /usr.
	Prefix string
	// From is the directory that holds the built binaries.
	From string
	// ContainerdConfig is containerd's main configuration file.
	ContainerdConfig string
	// StateDir is where `blazar serve` makes its sockets.
	StateDir string
	// LocalImagePull makes containerd unpack wasi/wasm images when CRI pulls them.
	LocalImagePull bool
	// Systemd is whether to write the units.
	Systemd bool
	// Force overwrites and removes files that were changed by hand, and
	// uninstalls under running pods.
	Force bool
}

// binaries are what is copied from Options.From, by directory below the prefix.
var binaries = []struct{ name, dir string }{
	{"blazar", "bin"},
	{shimBinary, "bin"},
	{"blazard", "libexec/blazar"},
	{"wasm-task", "libexec/blazar"},
	{"pod-reaper", "libexec/blazar"},
}

// shimBinary must be in a directory of containerd's PATH.
const shimBinary = "containerd-shim-blazar-v1"

// Permissions of what is written.
const (
	modeBinary os.FileMode = 0o755
	modeText   os.FileMode = 0o644
)

const (
	dropInName = "blazar.toml"
	unitDir    = "/etc/systemd/system"
)

// units are the systemd units.
var units = []string{"blazar.service", "blazar-taskd.service"}

// dropInDir is the directory of containerd's drop-ins.
func (o Options) dropInDir() string {
	return filepath.Join(filepath.Dir(o.ContainerdConfig), "conf.d")
}

func (o Options) dropIn() string { return filepath.Join(o.dropInDir(), dropInName) }

func (o Options) manifest() string { return filepath.Join(o.Prefix, "lib/blazar/install.json") }

// binary is where a binary is installed.
func (o Options) binary(name string) string {
	for _, b := range binaries {
		if b.name == name {
			return filepath.Join(o.Prefix, b.dir, name)
		}
	}
	return ""
}

// real is the path on this machine.
func (o Options) real(path string) string { return filepath.Join("/", o.Root, path) }

// file is one file as it shall be.
type file struct {
	path string
	data []byte
	mode os.FileMode
}

// wanted lists the files of an installation that are Blazar's alone.
func (o Options) wanted() ([]file, error) {
	var files []file
	for _, b := range binaries {
		data, err := os.ReadFile(filepath.Join(o.From, b.name))
		if errors.Is(err, fs.ErrNotExist) {
			// From may be a directory of an installation.
			if there, other := os.ReadFile(filepath.Join(o.From, "..", b.dir, b.name)); other == nil {
				data, err = there, nil
			}
		}
		if err != nil {
			return nil, &missingBinary{name: b.name, from: o.From, err: err}
		}
		files = append(files, file{o.binary(b.name), data, modeBinary})
	}
	dropIn, err := o.render("containerd.toml.tmpl")
	if err != nil {
		return nil, err
	}
	files = append(files, file{o.dropIn(), dropIn, modeText})
	if o.Systemd {
		for _, name := range units {
			unit, err := o.render(name + ".tmpl")
			if err != nil {
				return nil, err
			}
			files = append(files, file{filepath.Join(unitDir, name), unit, modeText})
		}
	}
	return files, nil
}

// missingBinary says which binary was not built.
type missingBinary struct {
	name, from string
	err        error
}

func (e *missingBinary) Error() string {
	return e.name + " is not in " + e.from + ": " + e.err.Error() + "; build it with `make build` or name its directory with --from"
}

func (e *missingBinary) Unwrap() error { return e.err }

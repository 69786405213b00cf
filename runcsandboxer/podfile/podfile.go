// Package podfile is what the daemon tells the task server of a pod: a file in the
// pod's directory, written when the pod starts, and beside it a note for every
// container that the task server makes. Both are root's alone. The daemon writes the
// file and reads the notes; the task server the other way round.
package podfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"

	"blazar/internal/proc"
)

// Version is that of the format; a file of another one is refused.
const Version = 1

// Name of the file in a pod's directory.
const Name = "pod.json"

// maxFile bounds what is read of a file.
const maxFile = 1 << 20

// Kinds are the directories below the daemon's state directory that pods with Linux
// containers lie in: those that have nothing else, and mixed ones.
var Kinds = []string{"runc", "mixed"}

// Pod is what a container of the pod is to share with the others.
type Pod struct {
	Version int `json:"version"`
	// ID is containerd's sandbox id.
	ID string `json:"id"`
	// Pid is what containerd was told, and writes into specifications: there
	// /proc/<Pid>/ns/X means the pod's namespace X. 0 where the pod has no process.
	Pid uint32 `json:"pid"`
	// Namespaces are those to join.
	Namespaces Namespaces `json:"namespaces"`
	// Mounts are for every container that has none at the same destination of its own;
	// the default one at /dev/shm, a tmpfs, is not its own.
	Mounts []Mount `json:"mounts,omitempty"`
	Cgroup Cgroup  `json:"cgroup"`
	// UserNamespace says that the pod has ids of its own: the owners of Mounts are to
	// be mapped as the container's specification maps ids, but for those that are
	// marked.
	UserNamespace bool `json:"user_namespace,omitempty"`
	// Reaper is the first process of the pod's pid namespace, which goes with it; nil
	// where containers have pid namespaces of their own, or the host's.
	Reaper *proc.Ref `json:"reaper,omitempty"`
}

// Host in place of a namespace's path means the host's: its entry has to go from the
// specification.
const Host = "host"

// Namespaces of a pod: a path, Host, or empty where the pod has none, so that it is an
// error to ask for it. Containers that do not share the pod's pid namespace have a
// specification without a path there, or with that of another container's process,
// which is kept.
type Namespaces struct {
	Network string `json:"network,omitempty"`
	IPC     string `json:"ipc,omitempty"`
	UTS     string `json:"uts,omitempty"`
	PID     string `json:"pid,omitempty"`
	User    string `json:"user,omitempty"`
}

// Mount is a bind mount.
type Mount struct {
	Destination string `json:"destination"`
	Source      string `json:"source"`
	// ReadOnly mounts stay so; the others are read-only where the container's root file
	// system is, but for those that are WritableAlways.
	ReadOnly       bool `json:"read_only,omitempty"`
	WritableAlways bool `json:"writable_always,omitempty"`
	// Options are more options of the mount.
	Options []string `json:"options,omitempty"`
	// Unmapped mounts keep their owners in a pod with a user namespace.
	Unmapped bool `json:"unmapped,omitempty"`
}

// Cgroup says where the containers' cgroups are.
type Cgroup struct {
	// Systemd says that systemd makes them (specifications name them
	// slice:prefix:name), and not cgroupfs.
	Systemd bool `json:"systemd,omitempty"`
	// Below is the group, from the root of each hierarchy, that containers belong
	// into, each with its id as a name. Empty: where the specification says.
	Below string `json:"below,omitempty"`
}

// Dir is a pod's directory.
func Dir(stateDir, kind, sandboxID string) string { return filepath.Join(stateDir, kind, sandboxID) }

// Load finds and reads the file of a pod; errdefs.ErrNotFound if it has none. It
// also returns the pod's directory.
func Load(stateDir, sandboxID string) (*Pod, string, error) {
	if err := identifiers.Validate(sandboxID); err != nil {
		return nil, "", fmt.Errorf("sandbox id: %w", err)
	}
	for _, kind := range Kinds {
		dir := Dir(stateDir, kind, sandboxID)
		p, err := read(filepath.Join(dir, Name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && p.ID != sandboxID {
			err = fmt.Errorf("it is that of pod %q: %w", p.ID, errdefs.ErrInvalidArgument)
		}
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", filepath.Join(dir, Name), err)
		}
		return p, dir, nil
	}
	return nil, "", fmt.Errorf("pod %s is none that blazar serve has started for Linux containers: %w", sandboxID, errdefs.ErrNotFound)
}

func read(path string) (*Pod, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return Decode(b)
}

// Decode reads a file's contents strictly.
func Decode(b []byte) (*Pod, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("more than %d bytes: %w", maxFile, errdefs.ErrInvalidArgument)
	}
	var v struct{ Version int }
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if v.Version != Version {
		return nil, fmt.Errorf("format %d, this release reads %d: blazar serve and blazar taskd must be of one release: %w", v.Version, Version, errdefs.ErrFailedPrecondition)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	p := &Pod{}
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if d.More() {
		return nil, fmt.Errorf("something follows the pod: %w", errdefs.ErrInvalidArgument)
	}
	return p, p.check()
}

// Write puts the file into a pod's directory, wholly or not at all.
func (p *Pod) Write(dir string) error {
	p.Version = Version
	if err := p.check(); err != nil {
		return err
	}
	return write(filepath.Join(dir, Name), p)
}

// write replaces a file; what it says does not have to outlive the machine.
func write(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// check refuses what cannot be.
func (p *Pod) check() error {
	if err := identifiers.Validate(p.ID); err != nil {
		return fmt.Errorf("sandbox id: %w", err)
	}
	paths := map[string]string{
		"network": p.Namespaces.Network, "ipc": p.Namespaces.IPC, "uts": p.Namespaces.UTS,
		"pid": p.Namespaces.PID, "user": p.Namespaces.User, "cgroup": p.Cgroup.Below,
	}
	for _, m := range p.Mounts {
		if m.Source == "" || m.Destination == "" {
			return fmt.Errorf("mount %q at %q: %w", m.Source, m.Destination, errdefs.ErrInvalidArgument)
		}
		paths["source of "+m.Destination], paths["destination of "+m.Source] = m.Source, m.Destination
	}
	for what, path := range paths {
		if path != "" && path != Host && (!filepath.IsAbs(path) || filepath.Clean(path) != path) {
			return fmt.Errorf("%s: path %q is not absolute and clean: %w", what, path, errdefs.ErrInvalidArgument)
		}
	}
	if p.UserNamespace != (p.Namespaces.User != "" && p.Namespaces.User != Host) {
		return fmt.Errorf("pod with user namespace %t at %q: %w", p.UserNamespace, p.Namespaces.User, errdefs.ErrInvalidArgument)
	}
	return nil
}

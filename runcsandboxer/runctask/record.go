package runctask

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"

	"blazar/internal/proc"
	"blazar/sandbox/task"
)

// recordVersion is that of the format; a record of another one is refused.
const recordVersion = 1

const (
	recordName = "record.json"
	pidName    = "pid"
	// linkName is the link in a bundle to the record's directory, and endName the file
	// there with what it takes to end the container: cmd/containerd-shim-blazar-v1
	// follows the one and reads the other.
	linkName = "taskd"
	endName  = "end"
)

// Phases of a container in its record.
const (
	// phaseMaking: Create is going on.
	phaseMaking = "making"
	// phaseCreated: there is no process.
	phaseCreated = "created"
	// phaseStarting: the runtime was called, and what it has made is unknown.
	phaseStarting = "starting"
	// phaseRunning: the first process is known, and may have exited.
	phaseRunning = "running"
)

// record is what a restarted task server has to know of a container.
type record struct {
	Version   int    `json:"version"`
	ID        string `json:"id"`
	Namespace string `json:"namespace"`
	Bundle    string `json:"bundle"`
	// Pod is the sandbox id and PodDir the directory with the pod's file; empty
	// for a container of no pod.
	Pod    string `json:"pod,omitempty"`
	PodDir string `json:"pod_dir,omitempty"`
	// Binary is the path of the OCI runtime, Root its state.
	Binary  string `json:"binary"`
	Root    string `json:"root"`
	Systemd bool   `json:"systemd,omitempty"`
	// Cgroup is the cgroupsPath of the specification, CgroupDir the path from the root
	// of each hierarchy that it means.
	Cgroup    string `json:"cgroup"`
	CgroupDir string `json:"cgroup_dir"`
	// OwnPids: the first process takes the others with it.
	OwnPids      bool       `json:"own_pids,omitempty"`
	Stdio        task.Stdio `json:"stdio"`
	UID          uint32     `json:"uid,omitempty"`
	GID          uint32     `json:"gid,omitempty"`
	NoPivot      bool       `json:"no_pivot,omitempty"`
	NoNewKeyring bool       `json:"no_new_keyring,omitempty"`
	Checkpoint   string     `json:"checkpoint,omitempty"`
	CriuWork     string     `json:"criu_work,omitempty"`

	Phase string    `json:"phase"`
	Init  *proc.Ref `json:"init,omitempty"`
	// Exit of the first process, once it is known.
	Exit  *task.Exit            `json:"exit,omitempty"`
	Execs map[string]execRecord `json:"execs,omitempty"`

	// Scope is set for a container that another task server presents to containerd.
	Scope *Scope `json:"scope,omitempty"`
}

// execRecord is a process that was added and runs.
type execRecord struct {
	Ref   proc.Ref   `json:"ref"`
	Stdio task.Stdio `json:"stdio"`
}

// save writes the record. The caller holds c.mu, or is the only one to know c.
func (c *container) save() error {
	b, err := json.Marshal(&c.record)
	if err == nil {
		err = replace(filepath.Join(c.dir, recordName), b)
	}
	if err == nil {
		err = replace(filepath.Join(c.dir, endName), c.record.end())
	}
	if err != nil {
		return fmt.Errorf("record of container %s: %w", c.record.ID, err)
	}
	return nil
}

// end is the part of the record that somebody needs who reads no JSON.
func (r *record) end() []byte {
	b := fmt.Appendf(nil, "id %q\npod_dir %q\nbinary %q\nroot %q\ncgroup_dir %q\nsystemd %t\n",
		r.ID, r.PodDir, r.Binary, r.Root, r.CgroupDir, r.Systemd)
	if r.Init != nil {
		b = fmt.Appendf(b, "init %d %d\n", r.Init.Pid, r.Init.StartTime)
	}
	if r.Exit != nil {
		b = fmt.Appendf(b, "exit %d %d\n", r.Exit.Status, r.Exit.At.UnixNano())
	}
	return b
}

// change changes the record and saves it, unless containerd has given the container up
// and the record was removed.
func (c *container) change(f func(r *record)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.record)
	if err := c.save(); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// load reads the record in a directory.
func load(dir string) (*record, error) {
	b, err := os.ReadFile(filepath.Join(dir, recordName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	r := &record{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%w: %w", err, errdefs.ErrInvalidArgument)
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("format %d, this release reads %d: %w", r.Version, recordVersion, errdefs.ErrFailedPrecondition)
	}
	if err := identifiers.Validate(r.ID); err != nil {
		return nil, err
	}
	if r.ID != filepath.Base(dir) {
		return nil, fmt.Errorf("it is that of container %q: %w", r.ID, errdefs.ErrInvalidArgument)
	}
	return r, nil
}

// unknownExit is how a process ended of which only the end was seen: containerd's
// UnknownExitStatus.
func unknownExit(at time.Time) task.Exit { return task.Exit{Status: 255, At: at} }

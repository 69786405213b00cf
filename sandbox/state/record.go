package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
)

// Version is that of the records this package writes; it reads no other.
const Version = 1

// Phase is how far a sandbox has come.
type Phase string

const (
	// Creating means that the kind was asked to make the sandbox and has not answered.
	Creating Phase = "creating"
	// Created means made; nothing of it runs.
	Created Phase = "created"
	// Starting means that the kind was asked to start it and has not answered.
	Starting Phase = "starting"
	// Started means running, as far as is known; Started is set.
	Started Phase = "started"
	// Stopped means ended for good; Exit is set.
	Stopped Phase = "stopped"
	// Failed means that it could not be started, and is to be deleted without being
	// asked, because whoever asked for it has forgotten it; Exit is set.
	Failed Phase = "failed"
)

// Record is all that is remembered of one sandbox.
type Record struct {
	Version   int    `json:"version"`
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Phase     Phase  `json:"phase"`
	Namespace string `json:"namespace,omitempty"`
	// Config is a runtime.v1.PodSandboxConfig in protobuf's own encoding.
	Config         []byte            `json:"config,omitempty"`
	NetNS          string            `json:"netns,omitempty"`
	RuntimeHandler string            `json:"runtime_handler,omitempty"`
	Annotations    map[string]string `json:"annotations,omitempty"`
	Start          *Start            `json:"start,omitempty"`
	Exit           *Exit             `json:"exit,omitempty"`
	// Private is the kind's own.
	Private json.RawMessage `json:"private,omitempty"`
}

// Start is how a sandbox runs.
type Start struct {
	Pid uint32 `json:"pid"`
	// StartTime of the process in clock ticks since boot, so that another process
	// with its pid is not taken for it; 0 if it had ended already.
	StartTime uint64            `json:"start_time"`
	Address   string            `json:"address"`
	CreatedAt time.Time         `json:"created_at"`
	Labels    map[string]string `json:"labels,omitempty"`
}

// Exit is how a sandbox ended.
type Exit struct {
	Status uint32    `json:"status"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// encode writes the record as JSON.
func (r *Record) encode() ([]byte, error) {
	r.Version = Version
	if err := r.check(); err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// decode reads a record; an error says why it cannot be used.
func decode(data []byte) (*Record, error) {
	r := &Record{}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("decode record: %w: %w", err, errdefs.ErrDataLoss)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("data after the record: %w", errdefs.ErrDataLoss)
	}
	if r.Version != Version {
		return nil, fmt.Errorf("record has version %d, this program reads %d: %w", r.Version, Version, errdefs.ErrNotImplemented)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

// check finds what makes no sense.
func (r *Record) check() error {
	if err := identifiers.Validate(r.ID); err != nil {
		return fmt.Errorf("record: id: %w", err)
	}
	if r.Kind == "" {
		return fmt.Errorf("record of %s: no kind: %w", r.ID, errdefs.ErrDataLoss)
	}
	switch r.Phase {
	case Creating, Created, Starting:
	case Started:
		if r.Start == nil {
			return fmt.Errorf("record of %s: started without a start: %w", r.ID, errdefs.ErrDataLoss)
		}
	case Stopped, Failed:
		if r.Exit == nil {
			return fmt.Errorf("record of %s: %s without an exit: %w", r.ID, r.Phase, errdefs.ErrDataLoss)
		}
	default:
		return fmt.Errorf("record of %s: unknown phase %q: %w", r.ID, r.Phase, errdefs.ErrDataLoss)
	}
	return nil
}

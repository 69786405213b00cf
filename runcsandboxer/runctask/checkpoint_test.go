package runctask

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	"blazar/sandbox/task/taskapi"
)

// A checkpoint needs criu. Where there is none, or one that fails, the request does, and
// the container runs on.
func TestCheckpointRefused(t *testing.T) {
	n := newNode(t)
	c := n.run("sleep")
	q := &taskapi.CheckpointTaskRequest{Id: c.id, Path: filepath.Join(n.dir, "image")}
	tools := t.TempDir()
	t.Setenv("PATH", tools)
	if err := n.tasks.Checkpoint(n.call(), q); !errdefs.IsNotImplemented(err) {
		t.Errorf("checkpoint without criu: %v", err)
	}
	restored := n.prepare(nil, false, "sleep")
	restored.request.Checkpoint = q.GetPath()
	_, err := n.tasks.Create(n.call(), restored.request)
	n.must(err)
	if _, err := n.tasks.Start(n.call(), &taskapi.StartRequest{Id: restored.id}); !errdefs.IsNotImplemented(err) {
		t.Errorf("restore without criu: %v", err)
	}
	restored.delete()

	n.must(os.WriteFile(filepath.Join(tools, "criu"), []byte("#!/bin/sh\nexit 1\n"), 0o755))
	if err := n.tasks.Checkpoint(n.call(), q); err == nil || errdefs.IsNotImplemented(err) {
		t.Errorf("checkpoint with a criu that fails: %v", err)
	}
	if s := n.stateOf(c.id); s.GetStatus() != taskapi.Status_RUNNING {
		t.Errorf("after that the container is %v", s)
	}
	c.end()
}

package runctask

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/sandbox/task"
)

// Scope says what somebody may do who was given a container by the daemon: another
// task server, which presents the container to containerd as one of its own, and which
// is not trusted with more than that container.
type Scope struct {
	// FIFOs are the directories in which the streams of added processes may be.
	FIFOs []string `json:"fifos,omitempty"`
}

// exec makes the process to be added: everything but what is run, and whether in a
// terminal, is as for the container's own.
func (s *Scope) exec(bundle string, q *task.ExecRequest) (*specs.Process, error) {
	for _, path := range []string{q.Stdio.Stdin, q.Stdio.Stdout, q.Stdio.Stderr} {
		if path != "" && !s.may(path) {
			return nil, fmt.Errorf("stdio %q does not belong to the container: %w", path, errdefs.ErrPermissionDenied)
		}
	}
	spec, err := readSpec(bundle)
	if err != nil {
		return nil, err
	}
	p := spec.Process
	p.Args, p.ConsoleSize, p.CommandLine = slices.Clone(q.Process.Args), q.Process.ConsoleSize, ""
	return p, nil
}

// may says whether a FIFO lies in one of the directories.
func (s *Scope) may(path string) bool {
	return filepath.Clean(path) == path && slices.ContainsFunc(s.FIFOs, func(dir string) bool {
		return dir != "" && strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
	})
}

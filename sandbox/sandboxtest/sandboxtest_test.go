package sandboxtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/sandbox"
	"blazar/sandbox/sandboxtest"
	"blazar/sandbox/sandboxtest/internal/prockind"
	"blazar/sandbox/task/taskapi"
)

func TestMain(m *testing.M) {
	prockind.Main()
	os.Exit(m.Run())
}

// TestProcesses proves the suite, and the shell, with pods that are processes.
func TestProcesses(t *testing.T) {
	sandboxtest.Run(t, sandboxtest.Kind{New: func(t *testing.T) *sandboxtest.Harness {
		root, err := os.MkdirTemp("/tmp", "pk")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(root); err != nil {
				t.Error(err)
			}
		})
		return &sandboxtest.Harness{
			Root: root,
			NewSandboxer: func(t testing.TB) (sandbox.Sandboxer, func()) {
				s := &prockind.Sandboxer{}
				return s, func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
			},
			Bundle: func(t testing.TB, _, _, bundle string, p sandboxtest.Program) *taskapi.CreateTaskRequest {
				spec, err := json.Marshal(&specs.Spec{Process: process(p)})
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(bundle, "config.json"), spec, 0o600); err != nil {
					t.Fatal(err)
				}
				return &taskapi.CreateTaskRequest{}
			},
			Exec: func(_ testing.TB, p sandboxtest.Program) *specs.Process { return process(p) },
		}
	}})
}

func process(p sandboxtest.Program) *specs.Process {
	return &specs.Process{Args: p.Args, Terminal: p.Terminal, Cwd: "/"}
}

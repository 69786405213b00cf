package runcsandboxer_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// reaper is the path of pod-reaper, daemon that of the program with the task server,
// image a root file system with the programs of the suite.
var reaper, daemon, image string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "runcsandboxer")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }() // nothing to do about it
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	reaper, daemon, image = filepath.Join(dir, "pod-reaper"), filepath.Join(dir, "blazard"), filepath.Join(dir, "image")
	for _, d := range []string{"", "proc", "dev", "sys", "etc"} {
		if err := os.MkdirAll(filepath.Join(image, d), 0o755); err != nil {
			return err
		}
	}
	for _, argv := range [][]string{
		{"../tools/reaper-cc", reaper},
		{"gcc", "-static", "-O1", "-o", filepath.Join(image, "program"), "testdata/program/main.c"},
		{"go", "build", "-o", daemon, "blazar/cmd/blazard"},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", argv, err, out)
		}
	}
	return nil
}

package runcsandboxer_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// reaper is the path of pod-reaper.
var reaper string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "runcsandboxer")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }() // nothing to do about it
		reaper = filepath.Join(dir, "pod-reaper")
		var out []byte
		if out, err = exec.Command("../tools/reaper-cc", reaper).CombinedOutput(); err != nil {
			err = fmt.Errorf("pod-reaper: %w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

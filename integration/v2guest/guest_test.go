package v2guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"blazar/internal/testneeds"
)

// root is the repository, kernelDir what tools/guest-kernel fetched.
const (
	root      = "../.."
	kernelDir = root + "/.cache/guest-kernel"
)

// bootLimit bounds the life of a machine: it takes half a minute where nothing else
// runs.
const bootLimit = 8 * time.Minute

// TestCgroupV2 has each test within as a subtest.
func TestCgroupV2(t *testing.T) {
	testneeds.File(t, "/usr/bin/qemu-system-x86_64", "make test-deps")
	testneeds.File(t, kernelDir+"/complete", "make guest-kernel")
	dir := t.TempDir()
	initrd := filepath.Join(dir, "initrd")
	if err := writeInitrd(t.Context(), initrd); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(dir, "disk")
	if err := writeDisk(t.Context(), disk, filepath.Join(dir, "files")); err != nil {
		t.Fatal(err)
	}
	m := &machine{dir: dir, initrd: initrd, disk: disk}
	began := time.Now()
	output, err := m.run(t.Context())
	t.Logf("the machine lived for %s", time.Since(began).Round(time.Millisecond))
	report := parse(output)
	if err != nil || len(report.missing(suites)) > 0 {
		t.Errorf("the machine: %v; not run to its end: %q\n--- console ---\n%s\n--- tests ---\n%s", err, report.missing(suites), tail(m.console(), 40), tail(output, 60))
	}
	for _, s := range report.suites {
		t.Run(s.name, func(t *testing.T) {
			for _, c := range s.tests {
				t.Run(c.name, func(t *testing.T) {
					if !c.passed {
						t.Error(strings.Join(c.output, "\n"))
					}
				})
			}
			if s.code != 0 || len(s.tests) == 0 {
				t.Errorf("%d tests ran, and the suite ended with %d:\n%s", len(s.tests), s.code, tail(strings.Join(s.output, "\n"), 60))
			}
		})
	}
}

// tail is the end of a text, in lines.
func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// read is a file's content; nothing of what cannot be read.
func read(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

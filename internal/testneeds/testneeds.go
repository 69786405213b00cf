// Package testneeds says what a test needs of the machine. A need that is not met
// fails the test, because a test that is quietly skipped proves nothing; only who
// asks for it with UNIT_ONLY=1, as `make test UNIT_ONLY=1` does, has it skipped.
package testneeds

import (
	"os"
	"testing"
)

// Only is the environment variable that turns failures into skips when it is 1.
const Only = "UNIT_ONLY"

// Root is for tests that make namespaces, mounts or cgroups.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		unmet(t, "root")
	}
}

// File is for tests that need a program, device or file of the machine.
func File(t testing.TB, path, remedy string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		unmet(t, path+" ("+remedy+")")
	}
}

// NoError is for tests that need something whose own code says what is missing.
func NoError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		unmet(t, err.Error())
	}
}

func unmet(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(Only) == "1" {
		t.Skipf("needs %s, and %s=1 allows to go without", what, Only)
		return
	}
	t.Fatalf("needs %s; set %s=1 to go without", what, Only)
}

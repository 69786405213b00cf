//go:build cgo && linux && amd64

package wasmedge

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// probeEnv makes the test binary say how opening the library went: one process opens
// one library.
const probeEnv = "WASMEDGE_PROBE"

func probe() {
	if os.Getenv(probeEnv) == "" {
		return
	}
	_, err := findLibrary()
	kind := "other"
	switch {
	case errdefs.IsNotFound(err):
		kind = "not found"
	case errdefs.IsUnavailable(err):
		kind = "unavailable"
	}
	fmt.Printf("%s: %v\n", kind, err)
	os.Exit(0)
}

// stand is a library of that version; with every function that is looked for, or with
// no other. They do nothing.
func stand(t *testing.T, version string, complete bool) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	lib := filepath.Join(dir, "libstand.so")
	sources := map[string]string{"version.c": `const char *WasmEdge_VersionGet(void) { return "` + version + `"; }`}
	if complete {
		sources["functions.c"] = `#include "capi.h"
#define STAND(ret, name, params) \
  void stand_##name(void) __asm__("WasmEdge_" #name); \
  __attribute__((weak)) void stand_##name(void) {}
WASMEDGE_FUNCTIONS(STAND)
`
	}
	args := []string{"-shared", "-fPIC", "-I" + here, "-o", lib, "-Wl,--no-as-needed", "-lgcc_s"}
	for name, source := range sources {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
	}
	if out, err := exec.CommandContext(t.Context(), "gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return lib
}

func TestUnfitLibraries(t *testing.T) {
	for name, c := range map[string]struct {
		library func(t *testing.T) string
		says    []string
	}{
		"Missing": {func(*testing.T) string { return "/nowhere/libwasmedge.so.0" },
			[]string{"not found: ", "/nowhere/libwasmedge.so.0", "install the package libwasmedge0", LibraryEnv}},
		"NoLibrary": {func(t *testing.T) string {
			file := filepath.Join(t.TempDir(), "text")
			if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
				t.Fatal(err)
			}
			return file
		}, []string{"unavailable: "}},
		"Foreign":        {func(*testing.T) string { return "libm.so.6" }, []string{"unavailable: ", "lacks WasmEdge_VersionGet"}},
		"Newer":          {func(t *testing.T) string { return stand(t, "0.17.1", true) }, []string{"unavailable: ", "it is of version: 0.17.1", "0.14."}},
		"Older":          {func(t *testing.T) string { return stand(t, "0.13.5", false) }, []string{"unavailable: ", "0.13.5"}},
		"LacksFunctions": {func(t *testing.T) string { return stand(t, "0.14.9", false) }, []string{"unavailable: ", "there is no WasmEdge_"}},
		"CannotGuard":    {func(t *testing.T) string { return stand(t, "0.14.9", true) }, []string{"unavailable: ", "imports 0 of the 3 functions"}},
	} {
		t.Run(name, func(t *testing.T) {
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), exe, "-test.run=^$")
			cmd.Env = append(os.Environ(), probeEnv+"=1", LibraryEnv+"="+c.library(t))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, s := range c.says {
				if !strings.Contains(string(out), s) {
					t.Errorf("%q is missing in: %s", s, out)
				}
			}
		})
	}
}

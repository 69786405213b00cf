//go:build cgo && linux && amd64

package wasmedge

/*
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"github.com/containerd/errdefs"
)

// LibraryEnv names the environment variable with the path of the library, or of the
// directory that it is in; without it the loader's own search path decides. Neither counts in a process that has
// the library already, as one started with LD_PRELOAD: a confined one, which finds
// nothing any more.
const LibraryEnv = "BLAZAR_WASMEDGE"

// acceptedVersion is what the text that the library says of itself starts with: the
// declarations in capi.h are those of this version, and the guard of signals.c knows
// its imports.
const acceptedVersion = "0.14."

const remedy = "install the package libwasmedge0 (Debian 13), or set " + LibraryEnv + " to the library's path; " +
	"docs/engines.md says how to run it on other releases"

// findLibrary finds, checks and guards the library, and returns its version.
func findLibrary() (string, error) {
	name := C.BZ_LIBRARY
	if path := os.Getenv(LibraryEnv); path != "" {
		name = path
		if st, err := os.Stat(path); err == nil && st.IsDir() {
			name = filepath.Join(path, C.BZ_LIBRARY)
		}
	}
	version, err := openLibrary(name)
	if err != nil {
		return "", err
	}
	if n := int(C.bz_we_guard()); n < C.BZ_GUARD_COUNT {
		return "", fmt.Errorf("libwasmedge %s imports %d of the %d functions by which its handling of signals is kept from the rest of the process, "+
			"so a fault in a guest would end every container; a library linked dynamically to libc is needed: %s: %w",
			version, n, int(C.BZ_GUARD_COUNT), remedy, errdefs.ErrUnavailable)
	}
	return version, nil
}

// openLibrary opens the library and returns the version that it says it has.
func openLibrary(name string) (string, error) {
	path, accepted := C.CString(name), C.CString(acceptedVersion)
	defer C.free(unsafe.Pointer(path))
	defer C.free(unsafe.Pointer(accepted))
	var version *C.char
	defer func() { C.free(unsafe.Pointer(version)) }()
	text := C.bz_we_open(path, accepted, &version)
	if text == nil {
		return C.GoString(version), nil
	}
	problem, kind := takeString(text), error(errdefs.ErrUnavailable)
	if strings.Contains(problem, "No such file or directory") {
		kind = errdefs.ErrNotFound
	}
	return "", fmt.Errorf("libwasmedge %sx for the engine wasmedge: %s: %s: %w", acceptedVersion, problem, remedy, kind)
}

// rescues is how often library code was let go on beyond the end of a guest's stack.
func rescues() uint64 { return uint64(C.bz_we_rescues()) }

// libraryPath is where the library was found.
func libraryPath() string { return C.GoString(C.bz_we_path()) }

//go:build cgo && linux && amd64

package wasmedge

/*
#include "glue.h"
*/
import "C"

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"blazar/engines"
)

// Name is the engine's name in annotations.
const Name = "wasmedge"

// settings names what makes artifacts incompatible besides the library's version:
// how the module is rewritten, and what it is compiled to.
const settings = "native,interruptible,o0,returns+grow-1"

// info describes the engine over a library of that version.
func info(version string) engines.Info {
	return engines.Info{
		Name:     Name,
		Version:  version,
		Settings: settings + "," + processor(),
		Capabilities: map[string]string{
			"compile":    "ahead of time, native code by LLVM",
			"first tier": "no",
			"interpret":  "no: its interpreter does not bound recursion",
			"components": "no",
			"core":       "version 2 with SIMD, tail calls, extended constants",
			"threads":    "no",
			"memory64":   "no",
			"exceptions": "no",
			"kill":       "within milliseconds, at loops and calls",
			"library":    "libwasmedge " + acceptedVersion + "x, found at run time",
		},
	}
}

// processor stands for what LLVM compiles for: it takes the machine's own processor
// with all its features. Asked of the processor, since a confined process sees no
// /proc.
func processor() string {
	var words [C.BZ_CPU_WORDS]C.uint32_t
	C.bz_we_processor(&words[0])
	h := sha256.New()
	for _, w := range words {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(w)))
	}
	return "cpu-" + hex.EncodeToString(h.Sum(nil)[:8])
}

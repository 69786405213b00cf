//go:build cgo && linux && amd64

package wasmedge

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"blazar/internal/testneeds"
)

// header is the folder with wasmedge/wasmedge.h: of the package libwasmedge-dev, or
// beside the library that `make wasmedge` has unpacked.
func header(t *testing.T) string {
	t.Helper()
	unpacked, err := filepath.Abs("../../.cache/wasmedge/include")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/usr/include", unpacked} {
		if _, err := os.Stat(filepath.Join(dir, "wasmedge", "wasmedge.h")); err == nil {
			return dir
		}
	}
	testneeds.File(t, filepath.Join(unpacked, "wasmedge", "wasmedge.h"), "make wasmedge, or install libwasmedge-dev")
	return unpacked
}

// TestHeaderAgrees compiles capi.h together with the library's header: what is
// declared here must be what is declared there, to the parameter.
func TestHeaderAgrees(t *testing.T) {
	dir := header(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	compile := func(t *testing.T, source string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "check.c")
		if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "gcc", "-std=gnu11", "-fsyntax-only", "-Wall", "-Werror",
			"-I"+here, "-I"+dir, file).CombinedOutput()
		if err != nil {
			t.Errorf("gcc: %v\n%s", err, out)
		}
	}
	t.Run("Functions", func(t *testing.T) {
		// A pointer of our type takes the library's function, or the types differ.
		compile(t, `#include <wasmedge/wasmedge.h>
#include "capi.h"
#define CHECK(ret, name, params) ret(*check_##name) params = WasmEdge_##name;
WASMEDGE_FUNCTIONS(CHECK)
`+layouts)
	})
	t.Run("Layouts", func(t *testing.T) { compile(t, `#include "capi.h"`+layouts) })
	t.Run("Codes", func(t *testing.T) {
		compile(t, `#include <wasmedge/wasmedge.h>
_Static_assert(WasmEdge_ErrCode_Terminated == 0x001 && WasmEdge_ErrCode_Interrupted == 0x007, "ends");
_Static_assert(WasmEdge_ErrCode_FuncSigMismatch == 0x403 && WasmEdge_ErrCode_IndirectCallTypeMismatch == 0x40d, "signature");
_Static_assert(WasmEdge_ErrCode_DivideByZero == 0x404 && WasmEdge_ErrCode_IntegerOverflow == 0x405, "division");
_Static_assert(WasmEdge_ErrCode_InvalidConvToInt == 0x406 && WasmEdge_ErrCode_Unreachable == 0x40a, "conversion");
_Static_assert(WasmEdge_ErrCode_TableOutOfBounds == 0x407 && WasmEdge_ErrCode_MemoryOutOfBounds == 0x408, "bounds");
_Static_assert(WasmEdge_ErrCode_UninitializedElement == 0x40b && WasmEdge_ErrCode_UndefinedElement == 0x40c, "elements");
`)
	})
}

// layouts fails to compile where a layout or a number is not what version 0.14 has.
const layouts = `
_Static_assert(sizeof(WasmEdge_ValType) == 8, "value type");
_Static_assert(sizeof(WasmEdge_Value) == 32 && __builtin_offsetof(WasmEdge_Value, Type) == 16, "value");
_Static_assert(sizeof(WasmEdge_String) == 16 && __builtin_offsetof(WasmEdge_String, Buf) == 8, "string");
_Static_assert(sizeof(WasmEdge_Result) == 4, "result");
_Static_assert(WasmEdge_Proposal_TailCall == 7 && WasmEdge_Proposal_ExtendedConst == 8, "proposals");
_Static_assert(WasmEdge_CompilerOptimizationLevel_O0 == 0 && WasmEdge_CompilerOutputFormat_Native == 0, "compiler");
`

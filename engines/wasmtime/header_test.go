//go:build cgo

package wasmtime

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const wasmtimeModule = "github.com/bytecodealliance/wasmtime-go/v44"

// TestHeaderAgrees compiles capi.h together with the headers of the library:
// two declarations of one function that differ are an error in C.
func TestHeaderAgrees(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", wasmtimeModule).Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	v, dir, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if v != "v"+version {
		t.Errorf("the library is %s, this package says %s", v, version)
	}
	src := filepath.Join(t.TempDir(), "both.c")
	if err := os.WriteFile(src, []byte("#include <wasmtime.h>\n#include \"capi.h\"\n"+layouts), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	cc := func(args ...string) string {
		args = append([]string{"-std=gnu11", "-Wall", "-Werror", "-I" + here}, args...)
		b, err := exec.CommandContext(t.Context(), "gcc", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("gcc: %v\n%s", err, b)
		}
		return string(b)
	}
	cc("-fsyntax-only", "-I"+filepath.Join(dir, "build", "include"), src)

	// The struct sizes of capi.h alone must be those of the headers too.
	if err := os.WriteFile(src, []byte("#include \"capi.h\"\n"+layouts), 0o600); err != nil {
		t.Fatal(err)
	}
	cc("-fsyntax-only", src)
}

// layouts fails to compile where a layout is not what version 44 has on 64-bit
// machines; it is compiled against both headers.
const layouts = `
_Static_assert(sizeof(wasm_byte_vec_t) == 16, "vec");
_Static_assert(sizeof(wasmtime_val_raw_t) == 16, "val_raw");
_Static_assert(sizeof(wasmtime_func_t) == 16, "func");
_Static_assert(sizeof(wasmtime_memory_t) == 24, "memory");
_Static_assert(sizeof(wasmtime_instance_t) == 16, "instance");
_Static_assert(sizeof(wasmtime_extern_union_t) == 24, "extern union");
_Static_assert(sizeof(wasmtime_extern_t) == 32, "extern");
_Static_assert(sizeof(wasmtime_linear_memory_t) == 32, "linear memory");
_Static_assert(sizeof(wasmtime_memory_creator_t) == 24, "memory creator");
_Static_assert(WASM_I32 == 0 && WASM_I64 == 1, "kinds");
_Static_assert(WASMTIME_EXTERN_FUNC == 0 && WASMTIME_EXTERN_MEMORY == 3, "extern kinds");
`

package wasmtask

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"blazar/engines"
	"blazar/engines/wazero"
)

// artifact is the guest of testdata, compiled by wazero.
var artifact string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "wasmtask")
	if err == nil {
		err = compile(context.Background(), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir) // nothing to do about it
		os.Exit(code)
	}))
}

func compile(ctx context.Context, dir string) error {
	wasm := filepath.Join(dir, "guest.wasm")
	if out, err := exec.CommandContext(ctx, "../../tools/wasm-cc", "-O1", "-o", wasm, "../testdata/guest/main.c").CombinedOutput(); err != nil {
		return fmt.Errorf("compile the guest: %w\n%s", err, out)
	}
	b, err := os.ReadFile(wasm)
	if err != nil {
		return err
	}
	e, err := registry().Open(ctx, wazero.Name)
	if err != nil {
		return err
	}
	artifact = filepath.Join(dir, "artifact")
	if err := os.Mkdir(artifact, 0o700); err != nil {
		return err
	}
	return e.Compile(ctx, b, artifact)
}

func registry() *engines.Registry {
	r := &engines.Registry{}
	r.Register(wazero.Name, wazero.New)
	return r
}

package wasmsandboxer_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// built is what the tests run: the real programs and a guest.
var built struct{ blazar, task, hostile, image, cache string }

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wasmsandboxer")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }() // nothing to do about it
		if before := os.Getenv(insideSystemd); before != "" {
			locate(before)
		} else {
			err = build(context.Background(), dir)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// locate says where in dir everything is.
func locate(dir string) {
	built.task = filepath.Join(dir, "wasm-task")
	built.hostile = filepath.Join(dir, "hostile")
	built.blazar = filepath.Join(dir, "blazar")
	built.image = filepath.Join(dir, "image")
	built.cache = filepath.Join(dir, "cache")
}

func build(ctx context.Context, dir string) error {
	locate(dir)
	if err := os.Mkdir(built.image, 0o755); err != nil {
		return err
	}
	for _, argv := range [][]string{
		{"go", "build", "-o", dir, "blazar/cmd/blazar", "blazar/cmd/wasm-task", "blazar/wasmsandboxer/testdata/hostile"},
		{"../tools/wasm-cc", "-O1", "-o", filepath.Join(built.image, "guest.wasm"), "testdata/guest/main.c"},
	} {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", argv, err, out)
		}
	}
	return nil
}

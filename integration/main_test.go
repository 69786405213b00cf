package integration

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"blazar/internal/node"
)

// theNode is the node of all tests, guests the folder of busy.wasm and raw.wasm.
var (
	theNode *node.Node
	guests  string
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	ctx := context.Background()
	var err error
	if guests, err = os.MkdirTemp("", "guests-"); err == nil {
		defer func() { _ = os.RemoveAll(guests) }()
		err = makeGate(guests)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	n, err := startNode(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := n.Stop(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	if err := loadImages(ctx, n, guests); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	theNode = n
	code = m.Run()
	// What one test left would go unseen among the pods of the others.
	if err := n.RemovePods(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	left, err := n.Leaks(ctx, known...)
	for _, l := range left {
		fmt.Fprintln(os.Stderr, "left after all tests:", l)
	}
	if err != nil || len(left) > 0 {
		fmt.Fprintln(os.Stderr, "--- FAIL: leaks", err)
		code = 1
	}
	if code != 0 {
		fmt.Fprintf(os.Stderr, "--- end of blazar serve's log ---\n%s\n", n.Log("serve", 60))
	}
	return code
}

func startNode(ctx context.Context, serve ...string) (*node.Node, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := node.Sweep(ctx); err != nil {
		return nil, err
	}
	return node.Start(ctx, node.Config{
		Bin:        cmp.Or(os.Getenv("BLAZAR_BIN"), filepath.Join(root, "bin")),
		Tools:      filepath.Join(root, ".cache", "bin"),
		OCIRuntime: gate.program,
		ServeArgs:  append(libraries(root), serve...),
	})
}

// libraries are the arguments with which blazar serve finds libwasmedge where
// tools/wasmedge/get has unpacked it; elsewhere it is installed, or the variable
// BLAZAR_WASMEDGE names it.
func libraries(root string) []string {
	dir := filepath.Join(root, ".cache", "wasmedge", "lib")
	if _, err := os.Stat(dir); err != nil || os.Getenv("BLAZAR_WASMEDGE") != "" {
		return nil
	}
	return []string{"--wasmedge", dir}
}

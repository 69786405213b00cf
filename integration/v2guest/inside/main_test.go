//go:build v2guest

package inside

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"blazar/internal/node"
)

// patience bounds every wait; the machine is emulated, and its host may be busy.
const patience = 3 * time.Minute

var theNode *node.Node

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	root, err := filepath.Abs("../../..")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	n, err := node.Start(ctx, node.Config{
		Bin: filepath.Join(root, "bin"), Tools: filepath.Join(root, ".cache", "bin"), Kinds: []string{node.Wasm, node.Runc},
		ServeArgs: []string{"--prepared", "2"},
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer func() {
		if err := n.Stop(context.Background()); err != nil {
			fmt.Println(err)
			code = 1
		}
		if left := n.Processes(); left != "" {
			fmt.Println("processes are left:", left)
			code = 1
		}
	}()
	for _, image := range []string{"leak", "stubborn", "linux-busybox"} {
		if err := n.ImportImage(ctx, filepath.Join(root, ".cache", "images", image+".tar")); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	theNode = n
	code = m.Run()
	if code != 0 {
		fmt.Printf("--- end of blazar serve's log ---\n%s\n", n.Log("serve", 40))
	}
	left, err := n.Leaks(context.Background())
	// The supply of processes that wait for a pod is no pod's.
	left = slices.DeleteFunc(left, func(l string) bool { return strings.Contains(l, "/run/blazar/s/") })
	for _, l := range left {
		fmt.Println("left after all tests:", l)
	}
	if err != nil || len(left) > 0 {
		fmt.Println("--- FAIL: leaks (0.00s)", err)
		code = 1
	}
	return code
}

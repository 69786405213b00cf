package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
)

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "blazar.toml")
	if err := os.WriteFile(file, []byte("state = \"/from/file\"\nroot = \"/root/of/file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(ServeFlags, map[string][]string{
		ConfigFlag: {file}, "state": {"/from/flag"}, "kinds": {"wasm", "runc"}, "prepared": {"3"}, "wasm-task": {"/x/wasm-task"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "/from/flag" || c.Root != "/root/of/file" || !slices.Equal(c.Kinds, []string{"wasm", "runc"}) ||
		c.Wasm.Prepared != 3 || c.Wasm.Task != "/x/wasm-task" || c.Runc.Reaper == "" {
		t.Errorf("%+v", c)
	}
	for name, values := range map[string]map[string][]string{
		"no number": {"prepared": {"many"}},
		"no kind":   {"kinds": {"unknown"}},
	} {
		values[ConfigFlag] = []string{file}
		if _, err := Load(ServeFlags, values); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

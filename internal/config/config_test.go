package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreFit(t *testing.T) {
	c := Default()
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	if got := c.Socket("wasm"); got != "/run/blazar/wasm.sock" {
		t.Error(got)
	}
}

func TestLoad(t *testing.T) {
	c, err := Load(write(t, "state = \"/s\"\n[wasm]\nengine = \"wazero\"\nunmapped_volumes = \"refuse\"\n[containerd]\naddress = \"/c\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.State, want.Wasm.Engine, want.Wasm.UnmappedVolumes, want.Containerd.Address = "/s", "wazero", Refuse, "/c"
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

func TestLoadRefuses(t *testing.T) {
	for text, say := range map[string]string{
		"[wasm]\nengin = \"x\"\n":      "wasm.engin (line 2)",
		"nonsense = 1\n":               "nonsense",
		"state = 5\n":                  "line 1",
		"state = \"/s\nroot = 1\n":     "line 1",
		strings.Repeat("#", maxFile+1): "bytes",
	} {
		_, err := Load(write(t, text))
		if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), say) {
			t.Errorf("%.30q: %v", text, err)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that was named and is missing: %v", err)
	}
}

func TestCheckNamesTheKey(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"kinds":                 func(c *Config) { c.Kinds = []string{"vm"} },
		"state":                 func(c *Config) { c.State = "relative" },
		"containerd.address":    func(c *Config) { c.Containerd.Address = "" },
		"wasm.first_tier":       func(c *Config) { c.Wasm.FirstTier = "winch" },
		"wasm.prepared":         func(c *Config) { c.Wasm.Prepared = -1 },
		"wasm.confinement":      func(c *Config) { c.Wasm.Confinement = "none" },
		"wasm.unmapped_volumes": func(c *Config) { c.Wasm.UnmappedVolumes = "" },
		"wasm.task":             func(c *Config) { c.Wasm.Task = "wasm-task" },
		"wasm.wasmedge":         func(c *Config) { c.Wasm.WasmEdge = "/opt/a:b" },
		"wasm":                  func(c *Config) { c.Wasm.MemoryOverhead = -1 },
	} {
		c := Default()
		change(&c)
		if err := c.Check(); !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), key+":") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

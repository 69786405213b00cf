package doctor

import (
	"slices"
	"strings"
	"testing"
)

const mainConfig = `version = 3
imports = ["conf.d/*.toml", "/etc/more.toml"]
[plugins.'io.containerd.cri.v1.images']
use_local_image_pull = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
`

const dropIn = `version = 3
[proxy_plugins.wasm]
type = "sandbox"
address = "/run/blazar/wasm.sock"
[proxy_plugins.stargz]
type = "snapshot"
address = "/run/stargz.sock"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.blazar-wasm]
runtime_type = "io.containerd.blazar.v1"
sandboxer = "wasm"
`

const oldConfig = `version = 2
imports = ["/etc/containerd/config.toml"]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.old]
runtime_type = "io.containerd.runc.v2"
`

func TestReadConfig(t *testing.T) {
	root := tree(t, map[string]string{
		"/etc/containerd/config.toml":        mainConfig,
		"/etc/containerd/conf.d/blazar.toml": dropIn,
		"/etc/more.toml":                     oldConfig, // imports the first again
	})
	c, err := ReadConfig(root, "/etc/containerd/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/etc/containerd/config.toml", "/etc/containerd/conf.d/blazar.toml", "/etc/more.toml"}; !slices.Equal(c.Files, want) {
		t.Errorf("files %v, want %v", c.Files, want)
	}
	if len(c.Sandboxers) != 1 || c.Sandboxers["wasm"] != "/run/blazar/wasm.sock" {
		t.Errorf("sandboxers %v", c.Sandboxers)
	}
	for name, sandboxer := range map[string]string{"runc": "", "old": "", "blazar-wasm": "wasm"} {
		if r, ok := c.Runtimes[name]; !ok || r.Sandboxer != sandboxer || r.Type == "" {
			t.Errorf("runtime %s: %+v", name, r)
		}
	}
	if !c.UseLocalImagePull {
		t.Error("use_local_image_pull was not read")
	}
}

func TestReadConfigFails(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"syntax":         {"version = [", ":1:"},
		"missing import": {`imports = ["/nowhere.toml"]`, "nowhere.toml"},
		"bad pattern":    {`imports = ["/x[*"]`, "import"},
		"wrong type":     {`imports = 3`, ":1:11"},
	} {
		_, err := ReadConfig(tree(t, map[string]string{"/c.toml": c.text}), "/c.toml")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadConfig(t.TempDir(), "/c.toml"); err == nil {
		t.Error("read a file that is not there")
	}
}

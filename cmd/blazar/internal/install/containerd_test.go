package install

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"blazar/internal/testneeds"
)

// TestContainerdReadsIt lets the pinned containerd read what is written, in each
// way its main configuration can be.
func TestContainerdReadsIt(t *testing.T) {
	containerd, err := filepath.Abs("../../../../.cache/bin/containerd")
	if err != nil {
		t.Fatal(err)
	}
	testneeds.File(t, containerd, "`make tools` builds it")
	for name, config := range map[string]string{
		"none":      "",
		"version 2": "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc]\nruntime_type = 'io.containerd.runc.v2'\n",
		"version 3": "version = 3\nimports = []\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\nruntime_type = 'io.containerd.runc.v2'\n",
		"version 4": "version = 4\nimports = ['/dev/null']\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			// Not below a root: containerd must find the files where they say.
			o := Options{Prefix: filepath.Join(dir, "usr"), From: built(t), ContainerdConfig: filepath.Join(dir, "etc/config.toml"), StateDir: "/run/blazar", LocalImagePull: true}
			if config != "" {
				writeTest(t, o.ContainerdConfig, config)
			}
			p, err := Install(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Apply(); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), containerd, "--config", o.ContainerdConfig, "config", "dump").Output()
			if err != nil {
				t.Fatal(err)
			}
			dump := section(string(out))
			for in, want := range map[string]string{
				"proxy_plugins.wasm": "address = '/run/blazar/wasm.sock'",
				"plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.blazar-wasm":   "sandboxer = 'wasm'",
				"plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.blazar-wazero": "disable_pause_image_pull = true",
				"plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc":          "runtime_type = 'io.containerd.runc.v2'",
				"plugins.'io.containerd.cri.v1.images'":                                    "use_local_image_pull = true",
			} {
				if !strings.Contains(dump[in], want+"\n") {
					t.Errorf("[%s] has no %q:\n%s", in, want, dump[in])
				}
			}
			if r := "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.blazar-wasmtime"; !strings.Contains(dump[r], "container_annotations = ['blazar/*', 'run.oci.handler', 'module.wasm.image/*']\n") {
				t.Errorf("[%s]:\n%s", r, dump[r])
			}
		})
	}
}

// section cuts a TOML text into its tables.
func section(text string) map[string]string {
	tables, name := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimLeft(line, " ")
		if strings.HasPrefix(line, "[") {
			name = strings.Trim(line, "[]\n")
			continue
		}
		tables[name] += line
	}
	return tables
}

// built makes a directory of stand-ins for the binaries.
func built(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, b := range binaries {
		writeTest(t, filepath.Join(dir, b.name), "binary "+b.name)
	}
	return dir
}

func writeTest(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"blazar/internal/linuximage"
	"blazar/internal/node"
)

// boxPrograms are the names of box.c that the specs use.
var boxPrograms = []string{"sh", "echo", "cat", "ls", "touch", "[", "dd", "top", "sleep", "httpd", "nginx", "true", "false", "hostname"}

// wasmImages writes into dir a tar of wasm programs for each Linux image that a spec
// names, under the same name.
func wasmImages(ctx context.Context, root, dir string) error {
	module := filepath.Join(dir, "box.wasm")
	cmd := exec.CommandContext(ctx, filepath.Join(root, "tools", "wasm-cc"), "-Os", "-Wl,--strip-all", "-o", module,
		filepath.Join(root, "integration", "critest", "box", "box.c"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("box.c: %w: %s", err, out)
	}
	box, err := os.ReadFile(module)
	if err != nil {
		return err
	}
	tars := map[string]bool{"linux-busybox": true}
	for _, tar := range repositories {
		tars[tar] = true
	}
	for tar := range tars {
		if err := wasmImage(dir, tar, box); err != nil {
			return fmt.Errorf("%s: %w", tar, err)
		}
	}
	return nil
}

// wasmImage is box under all its names; its own name is in a file, so that none is
// another under a second name.
func wasmImage(dir, tar string, box []byte) error {
	files := map[string][]byte{"which": []byte(tar)}
	for _, name := range boxPrograms {
		files["bin/"+name] = box
	}
	layer, err := node.RootfsLayer(files)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(tar, "linux-")
	image := &node.Image{
		Name:     map[string]string{"busybox": linuximage.Busybox, "nginx": linuximage.Nginx}[name],
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}},
		Layers:   []node.Layer{layer},
	}
	switch name {
	case "nginx", "httpd":
		image.Config.Cmd = []string{name}
	case "nginx-host":
		image.Config.Cmd = []string{"nginx"}
	case "user-uid":
		image.Config.User = "1002"
	case "user-name":
		image.Config.User = "www-data"
	case "user-uid-group":
		image.Config.User = "1003:1004"
	case "user-name-group":
		image.Config.User = "www-data:1004"
	}
	f, err := os.Create(filepath.Join(dir, tar+".tar"))
	if err != nil {
		return err
	}
	return errors.Join(image.WriteArchive(f), f.Close())
}

// Wasm containers get their listeners by an annotation, which the specs know nothing
// of. For those that talk to a server there are handlers that give each container one.
const (
	webHandler     = "blazar-wasm-80"
	hostWebHandler = "blazar-wasm-" + linuximage.HostPort
)

// webSpecs are the specs that those handlers are for.
var webSpecs = map[string]string{
	webHandler:     `port mapping with|support portforward \[`,
	hostWebHandler: `portforward in host network`,
}

// webRuntimes are their tables in the configuration of CRI, whose base specifications
// are written into dir: containerd's own, with the annotation.
func webRuntimes(ctx context.Context, root, dir string) (map[string]map[string]any, error) {
	plain, err := exec.CommandContext(ctx, filepath.Join(root, ".cache", "bin", "ctr"), "oci", "spec").Output()
	if err != nil {
		return nil, fmt.Errorf("ctr oci spec: %w", err)
	}
	runtimes := map[string]map[string]any{}
	for handler := range webSpecs {
		var spec map[string]any
		if err := json.Unmarshal(plain, &spec); err != nil {
			return nil, fmt.Errorf("ctr oci spec: %w", err)
		}
		spec["annotations"] = map[string]string{"blazar/listen": "tcp:" + strings.TrimPrefix(handler, "blazar-wasm-")}
		b, err := json.Marshal(spec)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, handler+".json")
		if err := os.WriteFile(path, b, 0o644); err != nil {
			return nil, err
		}
		runtimes[handler] = map[string]any{
			"runtime_type":             "io.containerd.blazar.v1",
			"sandboxer":                node.Wasm,
			"disable_pause_image_pull": true,
			"base_runtime_spec":        path,
		}
	}
	return runtimes, nil
}

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"blazar/internal/node"
)

// The images of the tests. busy and raw are the modules in guest/.
const (
	busyImage     = "test.invalid/busy:linux"    // shape A
	busyWasi      = "test.invalid/busy:wasi"     // shape B, wasi/wasm
	busyWasip1    = "test.invalid/busy:wasip1"   // shape B, wasip1/wasm
	busyLayer     = "test.invalid/busy:layer"    // shape C
	busyArtifact  = "test.invalid/busy:artifact" // shape D
	rawImage      = "test.invalid/raw:linux"
	taskWasm      = "test.invalid/task:wasm"  // guest/task in shape A
	taskLinux     = "test.invalid/task:linux" // the same as a Linux program
	twoLayers     = "test.invalid/bad:two-layers"
	nativeImage   = "test.invalid/bad:native"
	spinImage     = "test.invalid/bad:spin"
	component     = "test.invalid/bad:component"
	truncated     = "test.invalid/bad:truncated"
	garbage       = "test.invalid/bad:garbage"
	missingModule = "test.invalid/bad:missing"
)

const (
	wasmConfigType = "application/vnd.wasm.config.v0+json"
	wasmLayerType  = "application/wasm"
)

var (
	linux  = ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	wasi   = ocispec.Platform{OS: "wasi", Architecture: "wasm"}
	wasip1 = ocispec.Platform{OS: "wasip1", Architecture: "wasm"}
)

// loadImages builds the guests in dir and gives the node their images.
func loadImages(ctx context.Context, n *node.Node, dir string) error {
	busy, raw, err := buildGuests(ctx, dir)
	if err != nil {
		return err
	}
	task, err := buildTask(ctx, dir)
	if err != nil {
		return err
	}
	native, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	images := []*node.Image{
		rootfsImage(busyImage, linux, map[string][]byte{"app.wasm": busy, "raw.wasm": raw, "etc/greeting": []byte("from the image\n")}, "/app.wasm"),
		rootfsImage(busyWasi, wasi, map[string][]byte{"app.wasm": busy}, "/app.wasm"),
		rootfsImage(busyWasip1, wasip1, map[string][]byte{"app.wasm": busy}, "/app.wasm"),
		layerImage(busyLayer, busy),
		artifact(busyArtifact, busy),
		rootfsImage(rawImage, linux, map[string][]byte{"raw.wasm": raw, "busy.wasm": busy}, "/raw.wasm"),
		rootfsImage(taskWasm, linux, map[string][]byte{"task.wasm": task["wasip1/wasm"]}, "/task.wasm"),
		rootfsImage(taskLinux, linux, map[string][]byte{"task": task["linux/"+runtime.GOARCH]}, "/task"),
		artifact(twoLayers, busy, raw),
		rootfsImage(nativeImage, linux, map[string][]byte{"native": native[:1<<20]}, "/native"),
		spin(busy),
		// The preamble of a component: layer 1, version 0xd.
		artifact(component, []byte("\x00asm\x0d\x00\x01\x00")),
		artifact(truncated, busy[:len(busy)/2]),
		artifact(garbage, []byte("this is no module, whatever its type says")),
		rootfsImage(missingModule, linux, map[string][]byte{"other.wasm": raw}, "/app.wasm"),
	}
	for _, image := range images {
		if err := n.LoadImage(ctx, image); err != nil {
			return err
		}
	}
	return nil
}

// buildGuests compiles guest/busy with Go and guest/raw with clang.
func buildGuests(ctx context.Context, dir string) (busy, raw []byte, err error) {
	for name, argv := range map[string][]string{
		"busy": {"go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "busy.wasm"), "./guest/busy"},
		"raw":  {"../tools/wasm-cc", "-O1", "-o", filepath.Join(dir, "raw.wasm"), "guest/raw/main.c"},
	} {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("build guest %s: %w\n%s", name, err, out)
		}
	}
	if busy, err = os.ReadFile(filepath.Join(dir, "busy.wasm")); err != nil {
		return nil, nil, err
	}
	raw, err = os.ReadFile(filepath.Join(dir, "raw.wasm"))
	return busy, raw, err
}

// buildTask compiles guest/task for each platform that it is run on.
func buildTask(ctx context.Context, dir string) (map[string][]byte, error) {
	built := map[string][]byte{}
	for _, platform := range []string{"wasip1/wasm", "linux/" + runtime.GOARCH} {
		goos, goarch, _ := strings.Cut(platform, "/")
		file := filepath.Join(dir, "task-"+goos)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", file, "./guest/task")
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build guest task for %s: %w\n%s", platform, err, out)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		built[platform] = content
	}
	return built, nil
}

// rootfsImage has the module as a file of its root file system: shapes A and B.
func rootfsImage(name string, platform ocispec.Platform, files map[string][]byte, entrypoint string) *node.Image {
	layer, err := node.RootfsLayer(files)
	if err != nil {
		panic(err) // writing into memory
	}
	return &node.Image{
		Name: name, Platform: platform,
		Config: ocispec.ImageConfig{
			Entrypoint: []string{entrypoint},
			Env:        []string{"FROM_IMAGE=yes"},
			WorkingDir: "/",
		},
		Layers: []node.Layer{layer},
	}
}

// layerImage has an image config, and the module as a layer: shape C. containerd takes
// images with the same config for the same image, so the config names the module.
func layerImage(name string, module []byte) *node.Image {
	return &node.Image{
		Name: name, Platform: wasi,
		Config: ocispec.ImageConfig{
			Entrypoint: []string{"/app.wasm"},
			Labels:     map[string]string{"module": digest.FromBytes(module).String()},
		},
		Layers: []node.Layer{{MediaType: wasmLayerType, Content: module}},
	}
}

// artifact is the CNCF artifact, shape D, with as many layers as there are modules.
// containerd knows an image by the digest of its config, which therefore names the
// layers, as the format asks for.
func artifact(name string, modules ...[]byte) *node.Image {
	image := &node.Image{Name: name, ConfigMediaType: wasmConfigType}
	var digests []string
	for _, m := range modules {
		image.Layers = append(image.Layers, node.Layer{MediaType: wasmLayerType, Content: m})
		digests = append(digests, digest.FromBytes(m).String())
	}
	config, err := json.Marshal(map[string]any{
		"created": "2026-01-01T00:00:00Z", "architecture": "wasm", "os": "wasip1", "layerDigests": digests,
	})
	if err != nil {
		panic(err) // strings
	}
	image.RawConfig = config
	return image
}

// spin is an application as spin pushes it.
func spin(module []byte) *node.Image {
	return &node.Image{
		Name:            spinImage,
		ConfigMediaType: "application/vnd.fermyon.spin.application.v1+config",
		RawConfig:       []byte(`{"spin_lock_version":1,"components":[]}`),
		Layers:          []node.Layer{{MediaType: wasmLayerType, Content: module}},
	}
}

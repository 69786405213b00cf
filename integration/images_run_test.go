package integration

import (
	"testing"

	"blazar/internal/node"
)

func TestImageShapes(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	for _, c := range []struct {
		name, image string
		command     []string
	}{
		{"linux", busyImage, nil},
		{"wasi", busyWasi, nil},
		{"wasip1", busyWasip1, nil},
		{"layer", busyLayer, nil},
		{"artifact-root", busyArtifact, []string{"/"}},
		{"artifact-path", busyArtifact, []string{"/any/name.wasm"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := node.Container(c.name, c.image, c.command...)
			config.Args = []string{"hello"}
			k := p.start(t, config)
			k.exits(t, 0)
			contains(t, k.logs(t), "hello from wasm")
		})
	}
}

// A refusal says what was found, and what to do about it.
func TestRefusedImages(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/mixed", "false"))
	for _, c := range []struct {
		name, image string
		command     []string
		says        []string
	}{
		{"two-layers", twoLayers, []string{"/"}, []string{"2", "layers"}},
		{"native", nativeImage, nil, []string{"native", "ELF"}},
		{"spin", spinImage, []string{"/"}, []string{"Spin"}},
		{"component", component, []string{"/"}, []string{"component"}},
		{"truncated", truncated, []string{"/"}, []string{"truncated"}},
		{"garbage", garbage, []string{"/"}, []string{"WebAssembly"}},
		{"missing", missingModule, nil, []string{"/app.wasm"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			contains(t, p.refuse(t, node.Container(c.name, c.image, c.command...)), c.says...)
		})
	}
	// None of them harmed the pod.
	k := p.run(t, "hello")
	k.exits(t, 0)
}

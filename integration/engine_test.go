package integration

import (
	"encoding/json"
	"testing"
)

// verbose is everything that `crictl inspectp` says beyond the status, as text.
func verbose(t *testing.T, p *pod) string {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(i.Info)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The verbose status says which engine was chosen, and why.
func TestChosenEngine(t *testing.T) {
	t.Parallel()
	t.Run("annotation", func(t *testing.T) {
		p := startPod(t, annotate("blazar/engine", "wazero"))
		p.run(t, "sleep").says(t, "sleeping")
		contains(t, verbose(t, p), "wazero", "pod annotation blazar/engine")
	})
	t.Run("handler", func(t *testing.T) {
		p := startPodOf(t, "blazar-wazero")
		p.run(t, "sleep").says(t, "sleeping")
		contains(t, verbose(t, p), "wazero", "blazar-wazero")
	})
	t.Run("container's annotation", func(t *testing.T) {
		p := startPod(t, annotate("blazar/engine", "none")) // which it wins over
		c := busy("sleep")
		c.Annotations = map[string]string{"blazar/engine": "wazero"}
		p.start(t, c).says(t, "sleeping")
		contains(t, verbose(t, p), "wazero", "container annotation")
	})
	t.Run("default", func(t *testing.T) {
		p := startPod(t)
		p.run(t, "sleep").says(t, "sleeping")
		contains(t, verbose(t, p), "wasm", "engine")
	})
}

// An engine that is not there is refused by name, with those that are.
func TestRefusedEngine(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"v8", "../wazero", ""} {
		t.Run("engine "+name, func(t *testing.T) {
			config := podConfig(t, annotate("blazar/engine", name))
			id, err := theNode.RunPod(t.Context(), "blazar-wasm", config)
			p := &pod{ID: id, Config: config}
			why := ""
			if err != nil { // refused with the pod, or with its first container
				why = err.Error()
			} else {
				defer p.remove(t)
				why = p.refuse(t, busy("hello"))
			}
			contains(t, why, "blazar/engine", "wazero")
		})
	}
}

func TestRefusedIsolation(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/isolation", "vm"))
	contains(t, p.refuse(t, busy("hello")), "blazar/isolation", "vm")
}

package lab

import (
	"blazar/internal/node"
)

// Contestant is a way to run a pod whose one container prints a line and ends.
type Contestant struct {
	// Name is what it is called on the command line and in the results.
	Name string
	// What it is, in a few words.
	What    string
	Handler string
	Image   string
	// Archive is the image's file below Options.Images; empty if the node has it.
	Archive string
	// Engine of a wasm pod.
	Engine string
	// Annotations of the pod.
	Annotations map[string]string
	// Uncached says that the module is compiled anew for every pod: Evict first.
	Uncached bool
	// Peer says that it is not part of Blazar nor of containerd: whether it works here is
	// for it to show.
	Peer bool
	// From is the least effort at which it takes part when nobody was named.
	From Effort
}

// Cache is whether its artifact is in the cache when a pod starts: hit or miss; empty for
// those that have none there.
func (c Contestant) Cache() string {
	switch {
	case c.Engine == "":
		return ""
	case c.Uncached:
		return "miss"
	}
	return "hit"
}

// Names of contestants that ratios are taken by.
const (
	Floor      = "floor"
	Runc       = "runc"
	Wasm       = "wasm"
	BlazarRunc = "blazar-runc"
)

// The hello guests: 14 KiB of C and 2.5 MB of Go.
const (
	helloC         = "blazar.example/hello-c:latest"
	helloGo        = "blazar.example/hello-go:latest"
	helloCArchive  = "hello-c.tar"
	helloGoArchive = "hello-go.tar"
)

// Contestants are all there are, those that others are compared with first.
func Contestants() []Contestant {
	all := []Contestant{
		{Name: Runc, What: "containerd's own runc pods, with a pause container", Handler: node.Handler, Image: node.HelloImage},
		// With the image of the wasm pods, so that containerd's work is the same.
		{Name: Floor, What: "a sandboxer that does nothing: containerd's own cost", Handler: FloorHandler, Image: helloC, Archive: helloCArchive},
		{Name: Wasm, What: "Blazar, Wasmtime", Handler: "blazar-wasm", Image: helloC, Archive: helloCArchive, Engine: "wasmtime"},
		{
			Name: "wasm-cold", What: "Blazar, Wasmtime, a process that is started for the pod", Handler: "blazar-wasm", Image: helloC, Archive: helloCArchive,
			Engine: "wasmtime", Annotations: map[string]string{"blazar/prepared": "false"}, From: Quick,
		},
		{Name: "wazero", What: "Blazar, wazero", Handler: "blazar-wazero", Image: helloC, Archive: helloCArchive, Engine: "wazero", From: Quick},
		{Name: "wasmedge", What: "Blazar, WasmEdge", Handler: "blazar-wasmedge", Image: helloC, Archive: helloCArchive, Engine: "wasmedge", From: Quick},
		{Name: BlazarRunc, What: "Blazar, runc, no pause container", Handler: node.RuncHandler, Image: node.HelloImage},
	}
	for _, engine := range []struct{ name, handler, what string }{
		{"wasm", "blazar-wasm", "Wasmtime"}, {"wazero", "blazar-wazero", "wazero"}, {"wasmedge", "blazar-wasmedge", "WasmEdge"},
	} {
		from := Full
		if engine.name == Wasm {
			from = Quick
		}
		id := engine.name
		if id == Wasm {
			id = "wasmtime"
		}
		all = append(all,
			Contestant{
				Name: engine.name + "-go", What: "Blazar, " + engine.what + ", 2.5 MB of Go", Handler: engine.handler, Engine: id,
				Image: helloGo, Archive: helloGoArchive, From: from,
			},
			uncached(engine.name+"-uncached", "Blazar, "+engine.what+", compiled anew", engine.handler, id, "hello-c", from),
			uncached(engine.name+"-go-uncached", "Blazar, "+engine.what+", 2.5 MB of Go, compiled anew", engine.handler, id, "hello-go", from),
		)
	}
	for _, p := range peers {
		all = append(all, p.contestant())
	}
	return all
}

// uncached is a contestant with a module of its own, so that nobody else's artifact is
// evicted with it. Its image is made from the bare module of an example.
func uncached(name, what, handler, engine, module string, from Effort) Contestant {
	return Contestant{
		Name: name, What: what, Handler: handler, Engine: engine, Uncached: true, From: from,
		Image: "blazar.bench/" + name + ":latest", Archive: module + ".wasm",
	}
}

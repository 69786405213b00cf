package install

import (
	"bytes"
	"embed"
	"path/filepath"
	"text/template"
)

//go:embed *.tmpl
var templates embed.FS

// handlers are the runtime handlers that containerd is told of, and the kind of
// sandbox behind each. An OCI runtime named here is asked for what it can do, which CRI
// tells kubelets: without user namespaces there, pods with hostUsers: false are refused.
var handlers = []struct{ Name, Kind, Runtime string }{
	{"blazar-wasm", "wasm", ""},
	{"blazar-wasmtime", "wasm", ""},
	{"blazar-wasmedge", "wasm", ""},
	{"blazar-wazero", "wasm", ""},
	{"blazar-runc", "runc", "runc"},
}

// annotations are the patterns of a container's annotations that CRI hands on;
// without them a container's own engine could not be chosen. The asterisk does not
// match a slash. Those of the pod reach the sandboxer anyway and are not handed
// on: on a container they would win over what the pod says of that container.
var annotations = []string{"blazar/*", "run.oci.handler", "module.wasm.image/*"}

// render fills a template.
func (o Options) render(name string) ([]byte, error) {
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{}
	for _, h := range handlers {
		kinds[h.Kind] = filepath.Join(o.StateDir, h.Kind+".sock")
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Blazar":         o.binary("blazar"),
		"WasmTask":       o.binary("wasm-task"),
		"Shim":           o.binary(shimBinary),
		"StateDir":       o.StateDir,
		"Kinds":          kinds,
		"Handlers":       handlers,
		"Annotations":    annotations,
		"LocalImagePull": o.LocalImagePull,
	})
	return b.Bytes(), err
}

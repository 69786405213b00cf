package ociwasm

import (
	"fmt"
	"io"
)

// MaxModuleSize bounds what is read, hashed and compiled as a module, in bytes.
const MaxModuleSize = 256 << 20

// Abilities is what the chosen engine can run besides core modules.
type Abilities struct {
	// Engine is the engine's name, for messages.
	Engine string
	// Components says that it runs components.
	Components bool
}

// CheckModule refuses, as a *Refusal, whatever an engine of these abilities cannot
// run. name is the path or layer for messages; r is read within bounds.
func CheckModule(name string, r io.ReaderAt, size int64, a Abilities) error {
	refused, err := checkModule(name, r, size, a)
	if refused != nil {
		return refused
	}
	return err
}

// isProgram says whether a file is one for Linux, which may be larger than a module.
func isProgram(r io.ReaderAt) bool {
	head := make([]byte, sniffBytes)
	n, _ := r.ReadAt(head, 0) // what cannot be read is none
	kind, _ := sniffOther(head[:n])
	return kind == KindNative || kind == KindScript
}

func checkModule(name string, r io.ReaderAt, size int64, a Abilities) (refused *Refusal, err error) {
	if size > MaxModuleSize && !isProgram(r) {
		return invalid(name, "make the module smaller (wasm-opt, strip)", "the module has %d bytes, the limit is %d", size, int64(MaxModuleSize)), nil
	}
	kind, detail, err := sniff(r, size)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer func() {
		if refused != nil {
			refused.Kind = kind
		}
	}()
	found := string(kind)
	if detail != "" {
		found += " (" + detail + ")"
	}
	switch kind {
	case KindModule:
		return nil, nil
	case KindComponent:
		if a.Components {
			return nil, nil
		}
		return unsupported(name, "choose an engine that runs components with the annotation blazar/engine, or compile for wasip1",
			"%s, which engine %q does not run", found, a.Engine), nil
	case KindTruncated, KindMalformed:
		return invalid(name, "build or download it again", "%s", found), nil
	case KindNative:
		return unsupported(name, "build it for WebAssembly (GOOS=wasip1 GOARCH=wasm, clang --target=wasm32-wasi), or run the pod with the runtime handler of Linux containers",
			"%s", found), nil
	case KindScript:
		return unsupported(name, "name the module itself as the command", "%s, and a wasm pod has no interpreter for it", found), nil
	case KindText:
		return unsupported(name, "assemble it with wat2wasm", "%s", found), nil
	case KindArchive:
		return unsupported(name, "unpack it when building the image", "%s", found), nil
	}
	return invalid(name, "name a WebAssembly module as the command", "%s", found), nil
}

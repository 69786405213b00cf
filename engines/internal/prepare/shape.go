package prepare

import (
	"fmt"
	"slices"
	"strings"

	"blazar/engines"
	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

// Shape is what has to be known of a module to run it; artifacts carry it.
type Shape struct {
	// Funcs are the exported functions by name.
	Funcs map[string]wasmbin.FuncType `json:"funcs"`
	// Memory says that the module exports a memory named "memory", the one that
	// WASI functions use.
	Memory bool `json:"memory,omitempty"`
	// Memories are the declared memories.
	Memories []wasmbin.Limits `json:"memories,omitempty"`
}

// ShapeOf takes the shape from an outline.
func ShapeOf(o *wasmbin.Outline) Shape {
	s := Shape{Funcs: map[string]wasmbin.FuncType{}, Memories: o.Declared}
	for name := range o.Funcs {
		if t, ok := o.ExportType(name); ok {
			s.Funcs[name] = t
		}
	}
	_, s.Memory = o.Memories["memory"]
	return s
}

// pageSize is the unit of a memory's limits.
const pageSize = 64 << 10

// InitialMemory is what the declared memories have in bytes when the guest starts.
func (s Shape) InitialMemory() uint64 {
	sum := uint64(0)
	for _, m := range s.Memories {
		sum += min(m.Min, 1<<40) * pageSize
	}
	return sum
}

// initializer is what a reactor exports to be called before anything else.
// https://github.com/WebAssembly/WASI/blob/main/legacy/application-abi.md
const initializer = "_initialize"

// Initializer is the export to call before entry, empty where there is none.
func (s Shape) Initializer(entry string) string {
	if t, ok := s.Funcs[initializer]; !ok || !isEntry(t) || entry == engines.DefaultEntry || entry == initializer {
		return ""
	}
	return initializer
}

// isEntry reports whether a function of type t can start a guest.
func isEntry(t wasmbin.FuncType) bool {
	return len(t.Params) == 0 && (len(t.Results) == 0 || string(t.Results) == string([]byte{wasmbin.I32}))
}

// CheckConfig fills in a Config's defaults and makes sure that the module can run
// so; it is the first half of every engine's engines.Module.New.
func (s Shape) CheckConfig(c *engines.Config) error {
	if c.System == nil {
		return fmt.Errorf("an instance needs a System: %w", errdefs.ErrInvalidArgument)
	}
	if c.Entry == "" {
		c.Entry = engines.DefaultEntry
	}
	return s.checkEntry(c.Entry)
}

func (s Shape) checkEntry(entry string) error {
	t, ok := s.Funcs[entry]
	if ok && isEntry(t) {
		return nil
	}
	problem := fmt.Sprintf("the module exports no function %.64q to start at", entry)
	if ok {
		problem = fmt.Sprintf("the module's export %.64q is %v, and a guest starts at a function () -> () or () -> (i32)", entry, t)
	}
	var names []string
	for name, t := range s.Funcs {
		if isEntry(t) && name != initializer {
			names = append(names, fmt.Sprintf("%.64q", name))
		}
	}
	slices.Sort(names)
	if len(names) > 10 {
		names = append(names[:10], "…")
	}
	would := "no export would do"
	if len(names) > 0 {
		would = "these would do: " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%s; %s: %w", problem, would, errdefs.ErrNotFound)
}

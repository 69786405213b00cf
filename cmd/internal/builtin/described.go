package builtin

import (
	"context"
	"encoding/json"
	"slices"

	"blazar/cmd/internal/described"
	"blazar/engines"
	"blazar/engines/wazero"
)

// Described is Engines for a process that runs no guests and compiles in children: a
// library of the host is never loaded into it. What there is to say of such an engine
// is asked of a child, `program describe-engine NAME`, when it is first opened; where
// says where libwasmedge is (wasmedgelib.Find).
func Described(program, where string) *engines.Registry {
	r := &engines.Registry{}
	registerNative(r)
	r.Register(wazero.Name, wazero.New)
	registerLibraries(r, func(name string, _ engines.Factory) engines.Factory {
		return described.Library(program, where, name)
	})
	return r
}

// Describe says, as JSON, what the engines of this program are or why they cannot be
// used: the one of that name, which is opened in this process, or without a name all,
// of which those over a library of the host are only named (package described).
func Describe(ctx context.Context, name string) ([]byte, error) {
	r := Engines()
	if name != "" {
		return json.Marshal([]described.Description{described.Of(ctx, r, name)})
	}
	libraries := &engines.Registry{}
	registerLibraries(libraries, func(_ string, f engines.Factory) engines.Factory { return f })
	var all []described.Description
	for _, n := range r.Names() {
		if slices.Contains(libraries.Names(), n) {
			all = append(all, described.Description{Name: n, Library: true})
			continue
		}
		all = append(all, described.Of(ctx, r, n))
	}
	return json.Marshal(all)
}

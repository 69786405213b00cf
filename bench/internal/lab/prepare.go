package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// Entrant is a contestant that is ready to run on a node.
type Entrant struct {
	Contestant
	// Evict removes the module's compiled artifacts, so that the next pod compiles it
	// anew. No pod of the contestant may be running. Nil for those that use the cache.
	Evict func() error
}

// Field are the contestants that take part on a node, with their images imported, and
// notes about those that cannot. Of wanted all do that are named by -contestants, or
// if nobody is, that suit the effort.
func (l *Lab) Field(ctx context.Context, n *node.Node, wanted ...string) (field []Entrant, notes []string, err error) {
	handlers, err := handlersOf(ctx, n)
	if err != nil {
		return nil, nil, err
	}
	imported := map[string]bool{}
	for _, c := range Contestants() {
		if len(wanted) > 0 && !slices.Contains(wanted, c.Name) || !l.Wants(c.Name, c.From) {
			continue
		}
		if missing := l.missing(c, handlers); missing != "" {
			if c.Peer && len(l.Contestants) == 0 {
				continue // most machines have none
			}
			notes = append(notes, fmt.Sprintf("%s did not take part: %s.", c.Name, missing))
			continue
		}
		e := Entrant{Contestant: c}
		switch {
		case c.Uncached:
			e.Evict, err = l.importOwn(ctx, n, c)
		case c.Archive != "" && !imported[c.Archive]:
			imported[c.Archive] = true
			err = n.ImportImage(ctx, filepath.Join(l.Images, c.Archive))
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		field = append(field, e)
	}
	return field, notes, nil
}

// Reference is whom the others are compared with: runc, or else the floor; empty if
// neither takes part.
func Reference(field []Entrant) string {
	for _, name := range []string{Runc, Floor} {
		if slices.ContainsFunc(field, func(e Entrant) bool { return e.Name == name }) {
			return name
		}
	}
	return ""
}

// missing says what the contestant lacks on this machine, empty if nothing.
func (l *Lab) missing(c Contestant, handlers []string) string {
	if !slices.Contains(handlers, c.Handler) {
		return "the node has no runtime handler " + c.Handler
	}
	if c.Engine == "wasmedge" && l.WasmEdge == "" && !wasmedgeInstalled() {
		return "libwasmedge is not on this machine (make wasmedge gets it)"
	}
	return ""
}

// wasmedgeInstalled looks where distributions install libwasmedge.
func wasmedgeInstalled() bool {
	for _, pattern := range []string{"/usr/lib/libwasmedge.so.0", "/usr/lib/*/libwasmedge.so.0", "/usr/local/lib/libwasmedge.so.0"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return true
		}
	}
	return os.Getenv("BLAZAR_WASMEDGE") != ""
}

// handlersOf asks CRI for the runtime handlers.
func handlersOf(ctx context.Context, n *node.Node) ([]string, error) {
	conn, err := n.CRI()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // everything has been answered by then
	r, err := runtime.NewRuntimeServiceClient(conn).Status(ctx, &runtime.StatusRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, h := range r.GetRuntimeHandlers() {
		names = append(names, h.GetName())
	}
	return names, nil
}

// importOwn makes the image of a contestant that has a module of its own and returns
// what evicts its artifacts.
func (l *Lab) importOwn(ctx context.Context, n *node.Node, c Contestant) (evict func() error, err error) {
	module, err := os.ReadFile(filepath.Join(l.Images, c.Archive))
	if err != nil {
		return nil, err
	}
	module = withSection(module, c.Name)
	layer, err := node.RootfsLayer(map[string][]byte{"hello.wasm": module})
	if err != nil {
		return nil, err
	}
	err = n.LoadImage(ctx, &node.Image{
		Name:     c.Image,
		Platform: ocispec.Platform{OS: "linux", Architecture: goruntime.GOARCH},
		Config:   ocispec.ImageConfig{Entrypoint: []string{"/hello.wasm"}},
		Layers:   []node.Layer{layer},
	})
	cache := filepath.Join(n.Dir, "blazar", "cache", "artifacts")
	return func() error { return evictModule(cache, digest.FromBytes(module)) }, err
}

// withSection appends a custom section of that name to a module, which changes its
// digest and nothing else (WebAssembly core 1.0, 5.5.3). Short names only.
func withSection(module []byte, name string) []byte {
	out := append(slices.Clone(module), 0, byte(1+len(name)), byte(len(name)))
	return append(out, name...)
}

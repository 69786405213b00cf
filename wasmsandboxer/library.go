package wasmsandboxer

import (
	"context"

	"github.com/containerd/log"

	"blazar/internal/wasmedgelib"
	"blazar/wasmsandboxer/podspec"
)

// libraryOverhead is what libwasmedge, with LLVM, costs a process of its own memory, in
// bytes.
const libraryOverhead = 64 << 20

// chooseLibrary decides whether the pod's wasm-task is started with libwasmedge, which
// it cannot open later: only where a container may want it, since it costs 100 ms and
// libraryOverhead. A container that asks for a library that is missing is told so.
func (p *pod) chooseLibrary(ctx context.Context) {
	node := p.s.config.Node
	if !podspec.Wanted(wasmedgelib.Engine, p.r.Annotations, p.r.RuntimeHandler, node.DefaultEngine, node.Engines.Names()) {
		return
	}
	if _, err := node.Engines.Open(ctx, wasmedgelib.Engine); err != nil {
		log.G(p.ctx).WithError(err).Warn("the pod is started without the engine " + wasmedgelib.Engine)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.record.WasmEdge = true
}

// program is the command line of a wasm-task, with libwasmedge or without.
func (s *Sandboxer) program(wasmedge bool, args ...string) (wasmedgelib.Command, error) {
	if !wasmedge {
		return wasmedgelib.Command{Path: s.config.Binary, Args: args}, nil
	}
	library, err := wasmedgelib.Find(s.config.WasmEdge)
	if err != nil {
		return wasmedgelib.Command{}, err
	}
	return library.Confined(s.config.Binary, args...), nil
}

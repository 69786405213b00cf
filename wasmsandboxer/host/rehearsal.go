package host

import (
	"bytes"
	"context"
	"io"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/artifact"
)

// rehearsal is the module that a prepared wasm-task runs while it waits for its pod: it
// writes an empty line. It belongs to nobody, so that no pod gets to see what another
// pod's module looks like. As text:
//
//	(module
//	  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
//	  (memory (export "memory") 1)
//	  (data (i32.const 0) "\08\00\00\00" "\01\00\00\00" "\n")
//	  (func (export "_start")
//	    (drop (call 0 (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))
var rehearsal = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x0c\x02\x60\x04\x7f\x7f\x7f\x7f\x01\x7f\x60\x00\x00" +
	"\x02\x23\x01\x16wasi_snapshot_preview1\x08fd_write\x00\x00" +
	"\x03\x02\x01\x01" +
	"\x05\x03\x01\x00\x01" +
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x01" +
	"\x0a\x0f\x01\x0d\x00\x41\x01\x41\x00\x41\x01\x41\x10\x10\x00\x1a\x0b" +
	"\x0b\x0f\x01\x00\x41\x00\x0b\x09\x08\x00\x00\x00\x01\x00\x00\x00\n")

// RehearsalModule is the module of Rehearsal.
func RehearsalModule() []byte { return bytes.Clone(rehearsal) }

// Rehearsal is a small module, compiled for the engine at low priority unless it is in
// the cache, which gives nothing of anybody away. The caller releases it.
func (n *Node) Rehearsal(ctx context.Context, engine string) (*ociwasm.Artifact, error) {
	e, err := n.Engines.Open(ctx, engine)
	if err != nil {
		return nil, err
	}
	return n.Cache.Artifact(ociwasm.WithLowPriority(ctx), artifact.Key(digest.FromBytes(rehearsal), e.Info()),
		func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(rehearsal)), nil })
}

// ShowArtifact binds an artifact below a wasm-task's root, which is on the host, and
// says where it is for the wasm-task. hide, called after that is done with it, takes it
// away again.
func ShowArtifact(root string, a *ociwasm.Artifact) (path string, hide func() error, err error) {
	target := filepath.Join(root, artifactsDir, filepath.Base(a.Dir))
	if err := bindArtifact(a.Dir, target); err != nil {
		return "", nil, err
	}
	return "/" + artifactsDir + "/" + filepath.Base(a.Dir), func() error { return takeAway(target) }, nil
}

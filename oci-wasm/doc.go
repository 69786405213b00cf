// Package ociwasm knows WebAssembly in OCI images: the shapes it comes in, where
// in an image the module is, what cannot run and why, the cache of compiled
// modules, and how to pack a module into an image.
//
// It knows no engine and no sandbox: compilation goes through Compiler, images are
// read through containerd's content.Provider. Everything that is read is hostile
// input: sizes are bounded before a byte is read, digests are verified, and what
// cannot run is a *Refusal that says what was found and what to do.
//
// The shapes, by the letter the documentation uses:
//
//	A  a .wasm file in the root file system of a linux/<arch> image
//	B  the same in an image of platform wasi/wasm or wasip1/wasm
//	C  an OCI image config with the module as a layer of its own
//	D  the CNCF Wasm OCI artifact: a wasm config and one application/wasm layer
//
// Sources: https://github.com/opencontainers/image-spec (manifest, config, layout),
// https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/ (shape D),
// https://github.com/solo-io/wasm/tree/master/spec (the older layer and config
// types and the compat variant, which is shape A with an annotation).
package ociwasm

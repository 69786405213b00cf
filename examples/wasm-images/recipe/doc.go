// Package recipe builds the example images: a folder with an image.toml and sources
// in C or Go becomes a module, and the module one or more images.
//
// What is up to date is not built again: a C module when its sources, its recipe and
// the compiler are the same, a Go module as the go command decides, an image when the
// module and the recipe are the same. Modules are built by clang (with lld and
// wasi-libc, as Debian and Ubuntu package them) and by go.
package recipe

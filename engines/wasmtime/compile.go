//go:build cgo

package wasmtime

/*
#include "glue.h"
*/
import "C"

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"unsafe"

	"blazar/engines/internal/artifact"
	"blazar/engines/internal/memimage"
	"blazar/engines/internal/prepare"
	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

// Files of an artifact.
const (
	// codeFile is Wasmtime's own serialized form.
	codeFile = "module.cwasm"
	// imageFile is the start of the module's memory; its offset in hexadecimal
	// follows.
	imageFile = "memory-0x"
)

// Compile implements engines.Engine. Wasmtime does not look at ctx while it
// compiles: whoever wants to end it ends the process.
func (e *engine) Compile(ctx context.Context, module []byte, dir string) error {
	p, err := newPrepared(module)
	if err != nil {
		return err
	}
	if !e.epochs {
		if p.module, err = withTrap(p.module); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("compile the module: %w", ctx.Err())
	}
	if err := e.compile(p.module, filepath.Join(dir, codeFile)); err != nil {
		return err
	}
	if p.image != nil {
		name := fmt.Sprintf("%s%x", imageFile, p.image.Offset)
		if err := artifact.WriteFile(filepath.Join(dir, name), p.image.Data); err != nil {
			return err
		}
	}
	return artifact.Write(dir, e.info, module, p.shape)
}

// prepared is a module in the form that is compiled.
type prepared struct {
	module []byte
	image  *memimage.Image // nil for a memory that starts with zeros, or as the module does it
	shape  prepare.Shape
}

// newPrepared refuses what no engine runs, bounds the tables, and takes out of the
// module what is mapped from files of its own or not read by anyone.
func newPrepared(module []byte) (prepared, error) {
	sections, outline, err := prepare.Check(Name, module)
	if err != nil {
		return prepared{}, err
	}
	p := prepared{shape: prepare.ShapeOf(outline)}
	sections, p.image = memimage.Split(sections, outline)
	p.module = append(make([]byte, 0, len(module)), module[:wasmbin.HeaderSize]...)
	budget := uint64(prepare.TableBudget)
	for _, s := range sections {
		body := s.Body
		switch s.ID {
		case wasmbin.SectionCustom:
			if body = prepare.UsefulNames(body); body == nil {
				continue
			}
		case wasmbin.SectionTable:
			if body, err = prepare.BoundTables(body, &budget); err != nil {
				return prepared{}, err
			}
		}
		p.module = wasmbin.AppendSection(p.module, s.ID, body)
	}
	return p, nil
}

// lacks finds Wasmtime's texts for what is switched off, all of crate wasmparser:
// "threads must be enabled", "SIMD support is not enabled", "without the gc feature".
func lacks(err error) bool {
	return regexp.MustCompile(`must be enabled|not enabled|is disabled|requires the [a-z-]+ proposal|without the [a-z-]+ feature`).
		MatchString(err.Error())
}

// compile compiles module into a new file.
func (e *engine) compile(module []byte, path string) error {
	var m *C.wasmtime_module_t
	err := takeError(C.wasmtime_module_new(e.c, (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(module))), C.size_t(len(module)), &m))
	switch {
	case err != nil && lacks(err):
		return fmt.Errorf("the module needs what the engine wasmtime does not have: %w: %w", err, errdefs.ErrNotImplemented)
	case err != nil:
		return fmt.Errorf("invalid module: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	defer C.wasmtime_module_delete(m)
	pre, err := e.link(m)
	if err != nil {
		return err
	}
	C.wasmtime_instance_pre_delete(pre)
	var v C.wasm_byte_vec_t
	if err := takeError(C.wasmtime_module_serialize(m, &v)); err != nil {
		return fmt.Errorf("wasmtime cannot write down the compiled module: %w", err)
	}
	defer C.wasm_byte_vec_delete(&v)
	image := unsafe.Slice((*byte)(unsafe.Pointer(v.data)), int(v.size))
	if !e.epochs {
		if _, err := textIn(image); err != nil {
			return err
		}
	}
	return artifact.WriteFile(path, image)
}

// link binds a module to the WASI functions, whose types have been checked.
func (e *engine) link(m *C.wasmtime_module_t) (*C.wasmtime_instance_pre_t, error) {
	var pre *C.wasmtime_instance_pre_t
	if err := takeError(C.wasmtime_linker_instantiate_pre(e.linker, m, &pre)); err != nil {
		return nil, fmt.Errorf("bind the module to WASI preview 1: %w: %w", err, errdefs.ErrNotImplemented)
	}
	return pre, nil
}

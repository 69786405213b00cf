//go:build cgo

package wasmtime

/*
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"blazar/engines"
	"blazar/engines/internal/artifact"
	"blazar/engines/internal/memimage"
	"blazar/engines/internal/prepare"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// code is a mapped artifact that any number of Modules share, linked to the WASI
// functions once for all instances.
type code struct {
	module *C.wasmtime_module_t
	pre    *C.wasmtime_instance_pre_t
	pool   *C.bz_pool
	text   C.bz_text
	shape  prepare.Shape
}

// Close frees the code; nothing may use it any more.
func (c *code) Close() error {
	if c.pre != nil {
		C.wasmtime_instance_pre_delete(c.pre)
	}
	if c.module != nil {
		C.wasmtime_module_delete(c.module)
	}
	if c.pool != nil {
		C.bz_pool_free(c.pool)
	}
	*c = code{}
	return nil
}

// Load implements engines.Engine. Modules of the same content share their code
// while any of them is open.
func (e *engine) Load(_ context.Context, dir string) (engines.Module, error) {
	m, err := artifact.Read(dir, e.info)
	if err != nil {
		return nil, err
	}
	c, release, err := e.loaded.Get(m.Digest, func() (*code, error) { return e.load(dir, m) })
	if err != nil {
		return nil, err
	}
	return &module{engine: e, code: c, release: release}, nil
}

func (e *engine) load(dir string, m *artifact.Manifest) (*code, error) {
	if err := m.Verify(dir); err != nil {
		return nil, err
	}
	path := C.CString(filepath.Join(dir, codeFile))
	defer C.free(unsafe.Pointer(path))
	c := &code{shape: m.Shape}
	err := takeError(C.wasmtime_module_deserialize_file(e.c, path, &c.module))
	if err != nil {
		return nil, fmt.Errorf("the artifact in %s does not fit this processor or this build of wasmtime; compile the module again: %w: %w",
			dir, err, errdefs.ErrFailedPrecondition)
	}
	if c.text, err = e.textOf(c.module); err == nil {
		c.pre, err = e.link(c.module)
	}
	if err == nil {
		c.pool, err = newPool(dir, m)
	}
	if err != nil {
		_ = c.Close() // frees memory only
		return nil, fmt.Errorf("load the artifact in %s: %w", dir, err)
	}
	return c, nil
}

// newPool prepares the memories of a module's guests, with the image that the
// artifact may hold.
func newPool(dir string, m *artifact.Manifest) (*C.bz_pool, error) {
	fd, size, offset := -1, int64(0), uint64(0)
	for name := range m.Files {
		text, ok := strings.CutPrefix(name, imageFile)
		if !ok {
			continue
		}
		var err error
		if offset, err = strconv.ParseUint(text, 16, 33); err != nil {
			return nil, artifact.Damaged(dir, fmt.Sprintf("it has the file %q", name))
		}
		if fd, size, err = openImage(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
		if offset%memimage.Align != 0 || offset+uint64(size) > m.Shape.InitialMemory() {
			_ = unix.Close(fd) // opened for reading
			return nil, artifact.Damaged(dir, name+" does not fit the module's memory")
		}
		break
	}
	p := C.bz_pool_new(C.int(fd), C.uint64_t(offset), C.uint64_t(size))
	if p == nil {
		return nil, fmt.Errorf("no memory left: %w", errdefs.ErrResourceExhausted)
	}
	return p, nil
}

// openImage opens a file that is mapped whole.
func openImage(path string) (fd int, size int64, err error) {
	fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, 0, fmt.Errorf("open %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd) // opened for reading
		return -1, 0, fmt.Errorf("look at %s: %w", path, err)
	}
	return fd, st.Size, nil
}

package growhook

import (
	"encoding/binary"
	"fmt"

	"github.com/containerd/errdefs"
)

// reader consumes the binary format; its first error sticks, and everything read
// after it is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) truncated() {
	if r.err == nil {
		r.err = fmt.Errorf("the module is truncated or damaged: %w", errdefs.ErrInvalidArgument)
	}
	r.b = nil
}

func (r *reader) unknown(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("unknown %s: %w", what, errdefs.ErrNotImplemented)
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.truncated()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.truncated()
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// u reads an unsigned LEB128 number.
func (r *reader) u() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.truncated()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// skip passes over LEB128 numbers of either sign.
func (r *reader) skip(n int) {
	for ; n > 0; n-- {
		for i := 0; ; i++ {
			c := r.byte()
			if r.err != nil || c < 0x80 {
				break
			}
			if i == 10 {
				r.truncated()
				return
			}
		}
	}
}

// valueType passes over a value type; references to types carry a heap type.
func (r *reader) valueType() {
	if c := r.byte(); c == 0x63 || c == 0x64 {
		r.skip(1)
	}
}

// limits reads a memory's or a table's.
func (r *reader) limits() (flags byte, limit uint64) {
	flags = r.byte()
	if flags > 7 {
		r.unknown("kind of limits")
		return 0, 0
	}
	r.u()
	if flags&1 != 0 {
		limit = r.u()
	}
	return flags, limit
}

// Package wasmbin reads as much of a WebAssembly binary as an engine wants to
// know before it compiles: what kind of file it is, its sections, its imports and
// exports with their types.
// It validates nothing beyond what it reads; modules are hostile input, and
// every malformed one is an error wrapping errdefs.ErrInvalidArgument, never a
// panic. Format: https://webassembly.github.io/spec/core/binary/
package wasmbin

import (
	"fmt"
	"unicode/utf8"

	"github.com/containerd/errdefs"
)

// Section ids of the core format that readers here care about.
const (
	SectionCustom    = 0
	SectionType      = 1
	SectionImport    = 2
	SectionFunction  = 3
	SectionTable     = 4
	SectionMemory    = 5
	SectionGlobal    = 6
	SectionExport    = 7
	SectionStart     = 8
	SectionElement   = 9
	SectionCode      = 10
	SectionData      = 11
	SectionDataCount = 12
)

// Section is one section of a core module. Body aliases the module's bytes.
type Section struct {
	ID   byte
	Body []byte
}

// Reader takes values off the front of a byte slice. The first malformed value
// sets Err and makes every later read return zero.
type Reader struct {
	Rest []byte
	Err  error
}

// Fail records an error unless there is one already.
func (r *Reader) Fail(format string, args ...any) {
	if r.Err == nil {
		r.Err = fmt.Errorf("malformed module: "+format+": %w", append(args, errdefs.ErrInvalidArgument)...)
	}
	r.Rest = nil
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.Rest) == 0 {
		r.Fail("unexpected end")
		return 0
	}
	b := r.Rest[0]
	r.Rest = r.Rest[1:]
	return b
}

// U32 reads an unsigned LEB128 of at most 32 bits.
func (r *Reader) U32() uint32 { return uint32(r.uleb(32)) }

// U64 reads an unsigned LEB128 of at most 64 bits.
func (r *Reader) U64() uint64 { return r.uleb(64) }

// SkipSigned skips a signed LEB128 of at most 64 bits, whose last byte may fill the
// bits above with the sign.
func (r *Reader) SkipSigned() {
	for n := 0; n < 10; n++ {
		if r.Byte()&0x80 == 0 {
			return
		}
	}
	r.Fail("integer of more than 64 bits")
}

func (r *Reader) uleb(bits uint) uint64 {
	var v uint64
	for shift := uint(0); ; shift += 7 {
		b := r.Byte()
		if r.Err != nil {
			return 0
		}
		if shift >= bits || (bits-shift < 7 && b&0x7f>>(bits-shift) != 0) {
			r.Fail("integer of more than %d bits", bits)
			return 0
		}
		v |= uint64(b&0x7f) << shift
		if b&0x80 == 0 {
			return v
		}
	}
}

// Bytes reads n bytes; the result aliases the input.
func (r *Reader) Bytes(n uint32) []byte {
	if uint64(n) > uint64(len(r.Rest)) {
		r.Fail("%d bytes announced, %d left", n, len(r.Rest))
		return nil
	}
	b := r.Rest[:n]
	r.Rest = r.Rest[n:]
	return b
}

// Name reads a length-prefixed UTF-8 string.
func (r *Reader) Name() string {
	b := r.Bytes(r.U32())
	if !utf8.Valid(b) {
		r.Fail("a name is not UTF-8")
		return ""
	}
	return string(b)
}

// Vector reads the length of a vector whose elements take a byte at least; more
// elements than bytes are malformed, so that nobody allocates what is only announced.
func (r *Reader) Vector() uint32 {
	n := r.U32()
	if uint64(n) > uint64(len(r.Rest)) {
		r.Fail("%d elements announced in %d bytes", n, len(r.Rest))
		return 0
	}
	return n
}

// EachOf calls read for each element of a vector.
func (r *Reader) EachOf(read func(*Reader)) {
	for n := r.Vector(); n > 0 && r.Err == nil; n-- {
		read(r)
	}
}

// AppendU32 appends v as unsigned LEB128.
func AppendU32(b []byte, v uint32) []byte { return AppendU64(b, uint64(v)) }

// AppendU64 appends v as unsigned LEB128.
func AppendU64(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

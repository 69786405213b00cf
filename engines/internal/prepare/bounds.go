package prepare

import (
	"fmt"

	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

// maxLocals bounds the local variables of a function, as browsers do.
// https://webassembly.github.io/spec/js-api/#limits
const maxLocals = 50_000

// checkCounts refuses vectors that announce more elements than there are bytes.
// Engines allocate what is announced before they read, so that a module of fifty
// bytes could ask for hundreds of gigabytes, which no Go program survives.
func checkCounts(sections []wasmbin.Section) error {
	for _, s := range sections {
		r := wasmbin.Reader{Rest: s.Body}
		switch s.ID {
		case wasmbin.SectionElement:
			r.EachOf(skipElement)
		case wasmbin.SectionData:
			r.EachOf(skipData)
		case wasmbin.SectionCustom, wasmbin.SectionStart, wasmbin.SectionDataCount:
		default:
			r.Vector()
		}
		if r.Err != nil {
			return fmt.Errorf("section %d: %w", s.ID, r.Err)
		}
	}
	return nil
}

// skipElement reads an element segment; the three low bits of its flags say
// which parts it has.
func skipElement(r *wasmbin.Reader) {
	flags := r.U32()
	if flags > 7 {
		r.Fail("element segment of kind %d", flags)
		return
	}
	if flags&1 == 0 { // active
		if flags&2 != 0 {
			r.U32() // table
		}
		skipExpression(r)
	}
	expressions := flags&4 != 0
	if flags&3 != 0 { // kind or type of the elements
		wasmbin.SkipType(r)
	}
	r.EachOf(func(r *wasmbin.Reader) {
		if expressions {
			skipExpression(r)
		} else {
			r.U32()
		}
	})
}

func skipData(r *wasmbin.Reader) {
	flags := r.U32()
	if flags > 2 {
		r.Fail("data segment of kind %d", flags)
		return
	}
	if flags == 2 {
		r.U32() // memory
	}
	if flags != 1 {
		skipExpression(r)
	}
	r.Bytes(r.U32())
}

// skipExpression reads a constant expression up to its end.
func skipExpression(r *wasmbin.Reader) {
	for r.Err == nil {
		switch op := r.Byte(); op {
		case 0x0b: // end
			return
		case 0x41, 0x42, 0x23, 0xd0, 0xd2: // i32.const, i64.const, global.get, ref.null, ref.func
			r.SkipSigned()
		case 0x43: // f32.const
			r.Bytes(4)
		case 0x44: // f64.const
			r.Bytes(8)
		case 0xfd: // v128.const
			r.U32()
			r.Bytes(16)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // extended constants: add, sub, mul
		default:
			r.Fail("instruction 0x%02x in a constant expression", op)
		}
	}
}

// CheckLocals reads a function's local declarations and bounds their number.
func CheckLocals(r *wasmbin.Reader) error {
	sum := uint64(0)
	for n := r.Vector(); n > 0 && r.Err == nil; n-- {
		sum += uint64(r.U32())
		wasmbin.SkipType(r)
	}
	if r.Err == nil && sum > maxLocals {
		return fmt.Errorf("%d local variables, the limit is %d: %w", sum, maxLocals, errdefs.ErrInvalidArgument)
	}
	return r.Err
}

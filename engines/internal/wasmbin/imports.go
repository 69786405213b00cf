package wasmbin

import "fmt"

// External kinds of imports and exports.
const (
	ExternFunc   = 0
	ExternTable  = 1
	ExternMemory = 2
	ExternGlobal = 3
	ExternTag    = 4
)

// Import is one import of a module.
type Import struct {
	Module, Name string
	// Kind is one of the Extern constants.
	Kind byte
	// Type is the index of a function's type.
	Type uint32
}

// String names the import for an error message; the quotes keep hostile names
// on one line.
func (i Import) String() string {
	kinds := [...]string{"function", "table", "memory", "global", "tag"}
	return fmt.Sprintf("%s %.64q.%.64q", kinds[i.Kind], i.Module, i.Name)
}

func readImports(r *Reader) []Import {
	var all []Import
	for n := r.U32(); n > 0 && r.Err == nil; n-- {
		i := Import{Module: r.Name(), Name: r.Name(), Kind: r.Byte()}
		switch i.Kind {
		case ExternFunc:
			i.Type = r.U32()
		case ExternTable:
			SkipType(r)
			readLimits(r)
		case ExternMemory:
			readLimits(r)
		case ExternGlobal:
			SkipType(r)
			r.Byte()
		case ExternTag:
			r.Byte()
			r.U32()
		default:
			r.Fail("unknown kind of import 0x%02x", i.Kind)
		}
		if r.Err == nil {
			all = append(all, i)
		}
	}
	return all
}

// SkipType reads a value or reference type and returns its first byte, which is
// all of it but for typed references.
func SkipType(r *Reader) byte {
	b := r.Byte()
	if b == 0x63 || b == 0x64 {
		r.SkipSigned() // a heap type
	}
	return b
}

// Limits are the declared size of a memory in pages, or of a table in elements.
type Limits struct {
	Min uint64
	// Max is what it may grow to, meaningful where Bounded.
	Max     uint64
	Bounded bool
	// Wide says that it is indexed with 64 bits.
	Wide bool
}

// readLimits reads flags, minimum, and the maximum where flag 1 is set. 64-bit
// limits (flag 4) are wider integers only.
func readLimits(r *Reader) Limits {
	flags := r.Byte()
	l := Limits{Min: r.U64(), Bounded: flags&1 != 0, Wide: flags&4 != 0}
	if l.Bounded {
		l.Max = r.U64()
	}
	return l
}

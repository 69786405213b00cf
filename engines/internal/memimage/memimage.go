// Package memimage takes the data that a module's memory starts with out of the
// module, so that it can be mapped copy on write instead of being copied into every
// guest. Data sections come in thousands of small segments, which an engine would
// read at every load and write at every start.
package memimage

import (
	"slices"

	"blazar/engines/internal/wasmbin"
)

// Align is what an image's offset and size are multiples of: a page of linear
// memory, which every host's page size divides.
const Align = 64 << 10

// slack is how much longer an image may be than twice the data in it. Beyond that
// the segments are too far apart to be one file.
const slack = 1 << 20

// Image is the start of a memory: Data at Offset, zeros elsewhere.
type Image struct {
	Offset uint64
	Data   []byte
}

// Split returns the sections without what is in the image. Where a module's data is
// of a kind that an image cannot stand for, the sections are returned as they are
// and the image is nil; so is whatever is malformed, for the engine to refuse. The
// module means the same without its segments: an active one counts as dropped once
// the guest runs, which is what an empty passive one is.
func Split(sections []wasmbin.Section, o *wasmbin.Outline) ([]wasmbin.Section, *Image) {
	at := slices.IndexFunc(sections, func(s wasmbin.Section) bool { return s.ID == wasmbin.SectionData })
	if at < 0 || len(o.Declared) != 1 || o.Declared[0].Wide || o.Declared[0].Min > 1<<16 || !wellPlaced(sections, at) {
		return sections, nil
	}
	segments, ok := read(sections[at].Body)
	if !ok {
		return sections, nil
	}
	image := assemble(segments, o.Declared[0].Min*Align)
	if image == nil {
		return sections, nil
	}
	rest := slices.Delete(slices.Clone(sections), at, at+1)
	if slices.ContainsFunc(sections, func(s wasmbin.Section) bool { return s.ID == wasmbin.SectionDataCount }) {
		// Instructions may name segments by their index.
		rest = slices.Insert(rest, at, wasmbin.Section{ID: wasmbin.SectionData, Body: emptied(segments)})
	}
	return rest, image
}

// wellPlaced reports whether the data section is the last that is not custom, and
// the only one of its kind: anything else is invalid, which must stay visible.
func wellPlaced(sections []wasmbin.Section, at int) bool {
	return !slices.ContainsFunc(sections[at+1:], func(s wasmbin.Section) bool { return s.ID != wasmbin.SectionCustom })
}

type segment struct {
	active bool
	offset uint64
	data   []byte
	whole  []byte // as encoded
}

// read reads the segments, false where one is malformed or does not say in plain
// where it belongs.
func read(section []byte) ([]segment, bool) {
	r := wasmbin.Reader{Rest: section}
	var all []segment
	plain := true
	r.EachOf(func(r *wasmbin.Reader) {
		from := r.Rest
		s := segment{}
		switch flags := r.U32(); flags {
		case 1:
		case 0, 2:
			s.active = true
			if flags == 2 && r.U32() != 0 {
				plain = false
			}
			var ok bool
			if s.offset, ok = constant(r); !ok {
				plain = false
			}
		default:
			plain = false
		}
		s.data = r.Bytes(r.U32())
		s.whole = from[:len(from)-len(r.Rest)]
		all = append(all, s)
		if !plain {
			r.Fail("not a plain segment")
		}
	})
	return all, r.Err == nil && len(r.Rest) == 0
}

// constant reads i32.const n end.
func constant(r *wasmbin.Reader) (uint64, bool) {
	if r.Byte() != 0x41 {
		return 0, false
	}
	n, ok := signed32(r)
	return uint64(uint32(n)), ok && r.Byte() == 0x0b && r.Err == nil
}

// signed32 reads a signed LEB128 of 32 bits, false where it is longer.
func signed32(r *wasmbin.Reader) (int32, bool) {
	var v int64
	for shift := uint(0); shift < 35; shift += 7 {
		b := r.Byte()
		v |= int64(b&0x7f) << shift
		if b&0x80 == 0 {
			v = v << (64 - shift - 7) >> (64 - shift - 7) // the sign
			return int32(v), v == int64(int32(v))
		}
	}
	return 0, false
}

// assemble lays the active segments over one another in their order; nil where
// there is none, one is out of bounds of a memory of limit bytes, or they are far
// apart.
func assemble(segments []segment, limit uint64) *Image {
	low, high, sum := limit, uint64(0), uint64(0)
	for _, s := range segments {
		if !s.active {
			continue
		}
		end := s.offset + uint64(len(s.data))
		if end > limit {
			return nil
		}
		if len(s.data) > 0 {
			low, high, sum = min(low, s.offset), max(high, end), sum+uint64(len(s.data))
		}
	}
	low, high = low/Align*Align, (high+Align-1)/Align*Align
	if sum == 0 || high-low > 2*sum+slack {
		return nil
	}
	image := &Image{Offset: low, Data: make([]byte, high-low)}
	for _, s := range segments {
		if s.active && len(s.data) > 0 {
			copy(image.Data[s.offset-low:], s.data)
		}
	}
	return image
}

// emptied is the data section with its active segments empty and passive.
func emptied(segments []segment) []byte {
	out := wasmbin.AppendU32(nil, uint32(len(segments)))
	for _, s := range segments {
		if s.active {
			out = append(out, 1, 0)
		} else {
			out = append(out, s.whole...)
		}
	}
	return out
}

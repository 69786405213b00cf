package memimage

import (
	"bytes"
	"math"
	"testing"

	"blazar/engines/internal/wasmbin"
)

// sectionsWith are those of a module with one memory and the given data section.
func sectionsWith(memory, data string, count bool) []wasmbin.Section {
	s := []wasmbin.Section{{ID: wasmbin.SectionMemory, Body: []byte(memory)}}
	if count {
		s = append(s, wasmbin.Section{ID: wasmbin.SectionDataCount, Body: []byte(data[:1])})
	}
	return append(s, wasmbin.Section{ID: wasmbin.SectionCode, Body: []byte{0}},
		wasmbin.Section{ID: wasmbin.SectionData, Body: []byte(data)},
		wasmbin.Section{ID: wasmbin.SectionCustom, Body: []byte("\x01x")})
}

func split(t testing.TB, sections []wasmbin.Section) ([]wasmbin.Section, *Image) {
	t.Helper()
	o, err := wasmbin.Outlined(sections)
	if err != nil {
		t.Fatal(err)
	}
	return Split(sections, o)
}

const twoPages = "\x01\x00\x02"

func TestSplit(t *testing.T) {
	at := func(offset int, text string) map[int]string { return map[int]string{offset: text} }
	for name, c := range map[string]struct {
		memory, data string
		offset       uint64
		size         int
		holds        map[int]string // of the image
	}{
		"One":      {twoPages, "\x01\x00\x41\x08\x0b\x03abc", 0, Align, at(8, "abc")},
		"High":     {twoPages, "\x01\x00\x41\x80\x80\x04\x0b\x03abc", Align, Align, at(0, "abc")},
		"Last":     {twoPages, "\x01\x00\x41\xfd\xff\x07\x0b\x03abc", Align, Align, at(Align-3, "abc")},
		"Explicit": {twoPages, "\x01\x02\x00\x41\x08\x0b\x03abc", 0, Align, at(8, "abc")},
		"Overlaid": {twoPages, "\x02\x00\x41\x08\x0b\x03abc\x00\x41\x09\x0b\x01x", 0, Align, at(8, "axc")},
		"Across":   {twoPages, "\x01\x00\x41\xff\xff\x03\x0b\x03abc", 0, 2 * Align, at(Align-1, "abc")},
		"Upper":    {"\x01\x00\x80\x80\x04", "\x01\x00\x41\x80\x80\x80\x80\x78\x0b\x03abc", 1 << 31, Align, at(0, "abc")},
	} {
		t.Run(name, func(t *testing.T) {
			rest, image := split(t, sectionsWith(c.memory, c.data, false))
			if image == nil {
				t.Fatal("no image")
			}
			if image.Offset != c.offset || len(image.Data) != c.size {
				t.Fatalf("%d bytes at %d, want %d at %d", len(image.Data), image.Offset, c.size, c.offset)
			}
			want := make([]byte, c.size)
			for at, text := range c.holds {
				copy(want[at:], text)
			}
			if !bytes.Equal(image.Data, want) {
				t.Errorf("the image holds other bytes")
			}
			if len(rest) != 3 || rest[1].ID != wasmbin.SectionCode || rest[2].ID != wasmbin.SectionCustom {
				t.Errorf("the sections left are %+v", rest)
			}
		})
	}
}

func TestKeepsIndices(t *testing.T) {
	data := "\x03\x00\x41\x08\x0b\x03abc\x01\x02pq\x00\x41\x10\x0b\x01d"
	rest, image := split(t, sectionsWith(twoPages, data, true))
	if image == nil || string(image.Data[8:17]) != "abc\x00\x00\x00\x00\x00d" {
		t.Fatalf("the image is %v", image)
	}
	if len(rest) != 5 || string(rest[3].Body) != "\x03\x01\x00\x01\x02pq\x01\x00" {
		t.Errorf("the sections left are %q", rest)
	}
}

func TestLeftAlone(t *testing.T) {
	one := "\x01\x00\x41\x08\x0b\x03abc"
	for name, sections := range map[string][]wasmbin.Section{
		"NoData":       {{ID: wasmbin.SectionMemory, Body: []byte(twoPages)}},
		"NoMemory":     {{ID: wasmbin.SectionData, Body: []byte(one)}},
		"TwoMemories":  sectionsWith("\x02\x00\x02\x00\x02", one, false),
		"WideMemory":   sectionsWith("\x01\x04\x02", one, false),
		"HugeMemory":   sectionsWith("\x01\x00\xff\xff\xff\xff\x0f", one, false),
		"OutOfBounds":  sectionsWith(twoPages, "\x01\x00\x41\xfe\xff\x07\x0b\x03abc", false),
		"Negative":     sectionsWith(twoPages, "\x01\x00\x41\x7f\x0b\x01a", false),
		"EmptyOutside": sectionsWith(twoPages, "\x02\x00\x41\x08\x0b\x01a\x00\x41\x81\x80\x08\x0b\x00", false),
		"OnlyEmpty":    sectionsWith(twoPages, "\x01\x00\x41\x08\x0b\x00", false),
		"OnlyPassive":  sectionsWith(twoPages, "\x01\x01\x03abc", true),
		"Global":       sectionsWith(twoPages, "\x01\x00\x23\x00\x0b\x03abc", false),
		"Wide":         sectionsWith(twoPages, "\x01\x00\x42\x08\x0b\x03abc", false),
		"Arithmetic":   sectionsWith(twoPages, "\x01\x00\x41\x08\x41\x08\x6a\x0b\x03abc", false),
		"LongNumber":   sectionsWith(twoPages, "\x01\x00\x41\x88\x80\x80\x80\x10\x0b\x03abc", false),
		"OtherMemory":  sectionsWith(twoPages, "\x01\x02\x01\x41\x08\x0b\x03abc", false),
		"Kind":         sectionsWith(twoPages, "\x01\x03\x41\x08\x0b\x03abc", false),
		"Truncated":    sectionsWith(twoPages, one[:7], false),
		"Trailing":     sectionsWith(twoPages, one+"x", false),
		"FarApart":     sectionsWith("\x01\x00\x80\x02", "\x02\x00\x41\x08\x0b\x01a\x00\x41\x80\x80\x80\x07\x0b\x01b", false),
		"Twice":        append(sectionsWith(twoPages, one, false), wasmbin.Section{ID: wasmbin.SectionData, Body: []byte(one)}),
		"BeforeCode":   append(sectionsWith(twoPages, one, false), wasmbin.Section{ID: wasmbin.SectionCode, Body: []byte{0}}),
	} {
		t.Run(name, func(t *testing.T) {
			rest, image := split(t, sections)
			if image != nil || len(rest) != len(sections) {
				t.Errorf("image %v, %d of %d sections left", image != nil, len(rest), len(sections))
			}
		})
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("\x01\x00\x41\x08\x0b\x03abc"), uint32(2))
	f.Add([]byte("\x03\x00\x41\x08\x0b\x03abc\x01\x02pq\x00\x41\x10\x0b\x01d"), uint32(1))
	f.Fuzz(func(t *testing.T, data []byte, pages uint32) {
		if len(data) == 0 {
			return
		}
		memory := string(wasmbin.AppendU32([]byte{1, 0}, pages%math.MaxUint16))
		for _, count := range []bool{false, true} {
			_, image := split(t, sectionsWith(memory, string(data), count))
			if image == nil {
				continue
			}
			if image.Offset%Align != 0 || len(image.Data)%Align != 0 || image.Offset+uint64(len(image.Data)) > uint64(pages%math.MaxUint16)*Align {
				t.Errorf("%d bytes at %d of %d pages", len(image.Data), image.Offset, pages%math.MaxUint16)
			}
			if len(image.Data) > 2*len(data)+slack {
				t.Errorf("an image of %d bytes from %d", len(image.Data), len(data))
			}
		}
	})
}

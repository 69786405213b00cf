package wasmgen

import (
	"bytes"
	"testing"
)

func TestModule(t *testing.T) {
	var m Module
	f := m.Import("a", "f", []ValueType{I32}, nil)
	m.Memory(1, 2)
	m.Command("_start", []ValueType{I64}, I32Const(-1), Call(f))
	want := "\x00asm\x01\x00\x00\x00" +
		"\x01\x08\x02\x60\x01\x7f\x00\x60\x00\x00" + // types (i32) -> (), () -> ()
		"\x02\x07\x01\x01a\x01f\x00\x00" + // import a.f
		"\x03\x02\x01\x01" + // one function
		"\x05\x04\x01\x01\x01\x02" + // memory 1 to 2
		"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x01" + // exports
		"\x0a\x0a\x01\x08\x01\x01\x7e\x41\x7f\x10\x00\x0b" + // code
		"\x00\x10\x04name\x01\x09\x01\x01\x06_start"
	if got := m.Bytes(); string(got) != want {
		t.Errorf("got\n% x, want\n% x", got, want)
	}
}

func FuzzIntegers(f *testing.F) {
	f.Add(int64(0))
	f.Add(int64(-65))
	f.Add(int64(1) << 62)
	f.Fuzz(func(t *testing.T, v int64) {
		b := sleb(v)
		var got int64
		for i, c := range b {
			got |= int64(c&0x7f) << (7 * i)
			if c&0x80 == 0 && c&0x40 != 0 && 7*(i+1) < 64 {
				got |= -1 << (7 * (i + 1))
			}
		}
		if got != v {
			t.Errorf("%d is written as % x, which is %d", v, b, got)
		}
		if u := uint32(v); !bytes.Equal(u32(u&0x7f), []byte{byte(u & 0x7f)}) || len(u32(u)) > 5 {
			t.Errorf("%d is written as % x", u, u32(u))
		}
	})
}

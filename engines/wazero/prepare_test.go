package wazero

import (
	"bytes"
	"slices"
	"testing"

	"blazar/engines/enginetest/wasmgen"
	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

func TestInstrument(t *testing.T) {
	var m wasmgen.Module
	leaf := m.Func("leaf", nil, nil, nil, wasmgen.Nop)
	locals := []wasmgen.ValueType{wasmgen.I64, wasmgen.I64}
	m.Func("caller", nil, nil, locals, wasmgen.Call(leaf))
	prepared, _, err := prepare(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(prepared, emptyLoop); n != 1 {
		t.Errorf("%d checks, want one, in the function that calls", n)
	}
	want := append([]byte{2, 1, byte(wasmgen.I64), 1, byte(wasmgen.I64)}, emptyLoop...)
	if !bytes.Contains(prepared, append(want, wasmgen.Call(leaf)...)) {
		t.Errorf("the check is not behind the locals: % x", prepared)
	}
	again, _, err := prepare(m.Bytes())
	if err != nil || !bytes.Equal(prepared, again) {
		t.Errorf("not reproducible: %v", err)
	}
}

func TestBoundTables(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"Unbounded":   {"\x01\x70\x00\x05", "\x01\x70\x01\x05\x80\x80\x40"}, // 5 to 2^20
		"KeepsSmall":  {"\x01\x70\x01\x01\x02", "\x01\x70\x01\x01\x02"},
		"CutsMaximum": {"\x01\x70\x01\x00\xff\xff\xff\xff\x0f", "\x01\x70\x01\x00\x80\x80\x40"},
		"Shares":      {"\x02\x70\x00\x00\x6f\x00\x00", "\x02\x70\x01\x00\x80\x80\x20\x6f\x01\x00\x80\x80\x20"}, // 2^19 each
		"Foreign":     {"\x01\x70\x03\x01\x02", "\x01\x70\x03\x01\x02"},                                         // shared: wazero refuses it
	} {
		t.Run(name, func(t *testing.T) {
			budget := uint64(tableBudget)
			got, err := boundTables([]byte(c.in), &budget)
			if err != nil || string(got) != c.want {
				t.Errorf("got % x, %v; want % x", got, err, c.want)
			}
		})
	}
	budget := uint64(tableBudget)
	if _, err := boundTables([]byte("\x01\x70\x00\x81\x80\x40"), &budget); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a table of 2^20+1 elements: %v, want invalid argument", err)
	}
}

// FuzzPrepare: whatever the file, preparing and then decoding it ends in a typed
// error or a module, never in a panic or in gigabytes.
func FuzzPrepare(f *testing.F) {
	var m wasmgen.Module
	m.Memory(1, 2)
	m.Table(1, 2)
	fn := m.Func("f", nil, nil, nil)
	m.Elem(0, fn)
	m.Data(0, []byte("data"))
	m.Command("_start", []wasmgen.ValueType{wasmgen.I32}, wasmgen.Call(fn))
	f.Add(m.Bytes())
	f.Add(empty())
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	e := &engine{info: info()}
	f.Fuzz(func(t *testing.T, file []byte) {
		module, err := e.Interpret(t.Context(), file)
		if err == nil {
			err = module.Close()
		}
		if err != nil && !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) {
			t.Errorf("untyped error %v", err)
		}
	})
}

func TestUsefulNames(t *testing.T) {
	const functions = "\x01\x04\x01\x00\x01f"
	for name, c := range map[string]struct{ in, want string }{
		"Kept":          {"\x04name\x00\x02\x01m" + functions, "\x04name\x00\x02\x01m" + functions},
		"LocalsDropped": {"\x04name" + functions + "\x02\x01\x00", "\x04name" + functions},
		"OtherSection":  {"\x05.info" + functions, ""},
		"LongName":      {"\x04name\x01\x08\x01\x00\xff\xff\xff\xff\x0f" + "f", ""},
		"LongList":      {"\x04name\x01\x06\xff\xff\xff\xff\x0f\x00", ""},
		"CutShort":      {"\x04name\x01\x05\x01", ""},
		"Twice":         {"\x04name" + functions + functions, ""},
		"NotUTF8":       {"\x04name\x00\x02\x01\xff", ""},
		"Empty":         {"", ""},
	} {
		if got := usefulNames([]byte(c.in)); string(got) != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// FuzzInstrument: what is rewritten still splits into the same sections, but for
// custom ones.
func FuzzInstrument(f *testing.F) {
	f.Add(empty())
	f.Fuzz(func(t *testing.T, file []byte) {
		if wasmbin.CoreModule(Name, file) != nil {
			return
		}
		sections, err := wasmbin.Sections(file)
		if err != nil {
			return
		}
		out, err := instrument(file, sections)
		if err != nil {
			return
		}
		sections = slices.DeleteFunc(sections, func(s wasmbin.Section) bool {
			return s.ID == wasmbin.SectionCustom && usefulNames(s.Body) == nil
		})
		after, err := wasmbin.Sections(out)
		if err != nil || len(after) != len(sections) {
			t.Fatalf("%d sections became %d: %v", len(sections), len(after), err)
		}
		for i := range after {
			if after[i].ID != sections[i].ID {
				t.Errorf("section %d was %d and is %d", i, sections[i].ID, after[i].ID)
			}
		}
	})
}

package wazero

import (
	"bytes"
	"slices"
	"testing"

	"blazar/engines/enginetest/wasmgen"
	"blazar/engines/internal/prepare"
	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

func TestInstrument(t *testing.T) {
	counter := &callCounter{}
	for name, c := range map[string]struct {
		globals string // the section before, and after
		want    string
		index   uint32
	}{
		"NoGlobals": {"", "\x06\x06\x01\x7f\x01\x41\x01\x0b", 0},
		"Globals":   {"\x06\x06\x01\x7f\x00\x41\x05\x0b", "\x06\x0b\x02\x7f\x00\x41\x05\x0b\x7f\x01\x41\x01\x0b", 1},
	} {
		t.Run(name, func(t *testing.T) {
			const types = "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x03\x02\x00\x00"
			const export = "\x07\x0a\x01\x06_start\x00\x01"
			leaf := "\x03\x00\x01\x0b" // no locals; nop
			caller := "\x01\x02\x7e" + "\x10\x00\x0b"
			code := "\x02" + leaf + string(rune(len(caller))) + caller
			module := types + c.globals + export + "\x0a" + string(rune(len(code))) + code

			counter.index = c.index
			check := string(counter.check())
			counted := "\x01\x02\x7e" + check + "\x10\x00\x0b"
			code = "\x02" + leaf + string(rune(len(counted))) + counted
			want := types + c.want + export + "\x0a" + string(rune(len(code))) + code

			got, err := newPrepared([]byte(module))
			if err != nil || string(got.module) != want {
				t.Errorf("got % x, %v\nwant % x", got.module, err, want)
			}
		})
	}
	t.Run("NoCalls", func(t *testing.T) {
		var m wasmgen.Module
		m.Command("_start", nil, wasmgen.Nop)
		if got, err := newPrepared(m.Bytes()); err != nil || !bytes.Equal(got.module, m.Bytes()) {
			t.Errorf("got % x, %v\nwant % x, unchanged", got.module, err, m.Bytes())
		}
	})
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
			return s.ID == wasmbin.SectionCustom && prepare.UsefulNames(s.Body) == nil
		})
		isGlobal := func(s wasmbin.Section) bool { return s.ID == wasmbin.SectionGlobal }
		had := slices.ContainsFunc(sections, isGlobal)
		after, err := wasmbin.Sections(out)
		if !had {
			after = slices.DeleteFunc(after, isGlobal) // the counter's
		}
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

package wasmbin

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

const header = "\x00asm\x01\x00\x00\x00"

func TestSniff(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		kind Kind
		text string // part of the error
	}{
		"module":          {header, Module, ""},
		"component":       {"\x00asm\x0d\x00\x01\x00", Component, ""},
		"older component": {"\x00asm\x0c\x00\x01\x00", Component, ""},
		"version 2":       {"\x00asm\x02\x00\x00\x00", 0, "unknown version 02 00 00 00"},
		"empty":           {"", 0, "empty"},
		"truncated magic": {"\x00as", 0, "ends after 3 bytes"},
		"truncated":       {"\x00asm\x01", 0, "ends after 5 bytes"},
		"elf":             {"\x7fELF\x02\x01\x01\x00", 0, "native (ELF) program"},
		"script":          {"#!/bin/sh\necho", 0, "script"},
		"text format":     {"\n(module)", 0, "text format"},
		"something else":  {"PK\x03\x04aaaaaaaa", 0, "starts with 50 4b 03 04"},
	} {
		t.Run(name, func(t *testing.T) {
			kind, err := Sniff([]byte(c.file))
			if kind != c.kind {
				t.Errorf("kind %v, want %v", kind, c.kind)
			}
			if c.text == "" && err != nil {
				t.Errorf("error: %v", err)
			}
			if c.text != "" && (!errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), c.text)) {
				t.Errorf("error %v, want invalid argument with %q", err, c.text)
			}
		})
	}
}

func TestComponentIsNotImplemented(t *testing.T) {
	err := CoreModule("wazero", []byte("\x00asm\x0d\x00\x01\x00"))
	if !errdefs.IsNotImplemented(err) || !strings.Contains(err.Error(), "component") {
		t.Errorf("got %v", err)
	}
}

func TestImports(t *testing.T) {
	body := "\x05" +
		"\x01a\x01f\x00\x07" + // function of type 7
		"\x01a\x01t\x01\x70\x01\x01\x02" + // table of funcref, 1 to 2
		"\x01b\x01m\x02\x00\x01" + // memory of at least 1
		"\x01b\x01g\x03\x7f\x00" + // global i32
		"\x01b\x01e\x04\x00\x03" // tag of type 3
	module := header + "\x00\x02\x01x" + "\x02" + string(rune(len(body))) + body
	sections, err := Sections([]byte(module))
	if err != nil {
		t.Fatal(err)
	}
	outline, err := Outlined(sections)
	if err != nil {
		t.Fatal(err)
	}
	want := []Import{{"a", "f", ExternFunc, 7}, {"a", "t", ExternTable, 0}, {"b", "m", ExternMemory, 0},
		{"b", "g", ExternGlobal, 0}, {"b", "e", ExternTag, 0}}
	if !slices.Equal(outline.Imports, want) {
		t.Errorf("got %v, want %v", outline.Imports, want)
	}
	if _, ok := outline.ImportType(want[0]); ok {
		t.Error("type 7 exists in a module without types")
	}
	for cut := len(header) + 4; cut < len(module); cut++ {
		if cut == len(header)+4 {
			continue // ends exactly after the custom section
		}
		sections, err := Sections([]byte(module[:cut]))
		if err == nil {
			t.Errorf("cut at %d: no error, sections %v", cut, sections)
		} else if !errdefs.IsInvalidArgument(err) {
			t.Errorf("cut at %d: %v is not invalid argument", cut, err)
		}
	}
}

func TestExports(t *testing.T) {
	module := header +
		"\x01\x0b\x02" + "\x60\x00\x01\x7f" + "\x60\x02\x7f\x7e\x01\x7d" + // () -> i32; (i32, i64) -> f32
		"\x02\x07\x01\x01a\x01f\x00\x01" + // import of type 1
		"\x03\x02\x01\x00" + // one function of type 0
		"\x07\x10\x04" + "\x01i\x00\x00" + "\x01o\x00\x01" + "\x01m\x02\x00" + "\x00\x00\x09"
	sections, err := Sections([]byte(module))
	if err != nil {
		t.Fatal(err)
	}
	o, err := Outlined(sections)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"i": "(i32, i64) -> (f32)", "o": "() -> (i32)"} {
		if got, ok := o.ExportType(name); !ok || got.String() != want {
			t.Errorf("%s is %v, want %s", name, got, want)
		}
	}
	for _, name := range []string{"m", "absent", ""} {
		if got, ok := o.ExportType(name); ok {
			t.Errorf("%q has type %v", name, got)
		}
	}
	if _, ok := o.Memories["m"]; !ok {
		t.Error("the exported memory is missing")
	}
}

func TestIntegers(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 300, math.MaxUint32} {
		r := Reader{Rest: AppendU64(nil, v)}
		if got := r.U32(); r.Err != nil || uint64(got) != v || len(r.Rest) != 0 {
			t.Errorf("%d came back as %d, %v", v, got, r.Err)
		}
	}
	r := Reader{Rest: AppendU64(nil, math.MaxUint64)}
	if got := r.U64(); r.Err != nil || got != math.MaxUint64 {
		t.Errorf("maximum came back as %d, %v", got, r.Err)
	}
	for _, bad := range []string{"\xff\xff\xff\xff\x1f", "\x80\x80\x80\x80\x80\x00", "\x80"} {
		r := Reader{Rest: []byte(bad)}
		if got := r.U32(); r.Err == nil {
			t.Errorf("% x was read as %d", bad, got)
		}
	}
}

func FuzzOutline(f *testing.F) {
	f.Add([]byte(header + "\x02\x07\x01\x01a\x01f\x00\x07"))
	f.Add([]byte(header + "\x02\x09\x01\x01a\x01t\x01\x70\x01\x01\x02"))
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := CoreModule("x", file); err != nil {
			if !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		sections, err := Sections(file)
		if err == nil {
			var o *Outline
			if o, err = Outlined(sections); err == nil {
				for _, i := range o.Imports {
					if strings.ContainsAny(i.String(), "\n\r\x1b") {
						t.Errorf("control characters in %q", i.String())
					}
				}
				for name := range o.Funcs {
					o.ExportType(name)
				}
			}
		}
		if err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("untyped error %v", err)
		}
	})
}

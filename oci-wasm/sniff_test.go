package ociwasm

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// module is a valid one: (module (func) (export "_start" (func 0))) and a custom
// section, so that it has something to cut off.
var module = []byte("\x00asm\x01\x00\x00\x00" +
	"\x01\x04\x01\x60\x00\x00" + // type
	"\x03\x02\x01\x00" + // function
	"\x07\x0a\x01\x06_start\x00\x00" + // export
	"\x0a\x04\x01\x02\x00\x0b" + // code
	"\x00\x06\x04note!")

var component = []byte("\x00asm\x0d\x00\x01\x00\x00\x03\x02hi")

func TestSniff(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	native, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	many := bytes.Repeat([]byte{0, 0}, maxSections+1)
	for name, c := range map[string]struct {
		data []byte
		want Kind
	}{
		"module":                {module, KindModule},
		"header alone":          {module[:8], KindModule},
		"component":             {component, KindComponent},
		"cut in a section":      {module[:len(module)-1], KindTruncated},
		"cut in the header":     {module[:6], KindTruncated},
		"cut in the magic":      {module[:3], KindTruncated},
		"cut in a size":         {append(bytes.Clone(module[:8]), 1, 0x80), KindTruncated},
		"cut before a size":     {append(bytes.Clone(module[:8]), 1), KindTruncated},
		"trailing garbage":      {append(bytes.Clone(module), 0xff, 1, 2), KindMalformed},
		"endless size":          {append(bytes.Clone(module[:8]), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), KindMalformed},
		"size over 32 bits":     {append(bytes.Clone(module[:8]), 1, 0xff, 0xff, 0xff, 0xff, 0x7f), KindMalformed},
		"too many sections":     {append(bytes.Clone(module[:8]), many...), KindMalformed},
		"another version":       {[]byte("\x00asm\x02\x00\x00\x00"), KindMalformed},
		"native":                {native, KindNative},
		"script":                {[]byte("#!/bin/sh\n"), KindScript},
		"text":                  {[]byte("\n (module)"), KindText},
		"gzip":                  {[]byte("\x1f\x8b\x08"), KindArchive},
		"empty":                 {nil, KindEmpty},
		"one zero":              {[]byte{0}, KindTruncated},
		"something else":        {[]byte("hello"), KindUnknown},
		"nothing like a module": {bytes.Repeat([]byte{0xff}, 600), KindUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Sniff(bytes.NewReader(c.data), int64(len(c.data)))
			if err != nil || got != c.want {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestSniffReportsReadErrors(t *testing.T) {
	if _, err := Sniff(broken{}, 100); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("got %v", err)
	}
}

// elfHead is what a Linux program of any size begins with.
var elfHead = "\x7fELF\x02" + strings.Repeat("\x00", 1024)

func TestCheckModule(t *testing.T) {
	for name, c := range map[string]struct {
		data   []byte
		a      Abilities
		kind   error
		phrase string
	}{
		"module":                   {module, Abilities{}, nil, ""},
		"component, engine can":    {component, Abilities{Components: true}, nil, ""},
		"component, engine cannot": {component, Abilities{Engine: "wazero"}, errdefs.ErrNotImplemented, `engine "wazero" does not run; choose an engine`},
		"truncated":                {module[:29], Abilities{}, errdefs.ErrInvalidArgument, "truncated"},
		"native":                   {[]byte("\x7fELF\x02"), Abilities{}, errdefs.ErrNotImplemented, "native binary (ELF); build it for WebAssembly"},
		"script":                   {[]byte("#!/bin/sh"), Abilities{}, errdefs.ErrNotImplemented, "no interpreter"},
		"empty":                    {nil, Abilities{}, errdefs.ErrInvalidArgument, "empty file"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckModule("/app.wasm", bytes.NewReader(c.data), int64(len(c.data)), c.a)
			if c.kind == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var r *Refusal
			if !errors.As(err, &r) || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.phrase) || r.Remedy == "" {
				t.Fatalf("got %v", err)
			}
			if kind, err := Sniff(bytes.NewReader(c.data), int64(len(c.data))); err != nil || r.Kind != kind {
				t.Errorf("the kind is %q, not %q (%v)", r.Kind, kind, err)
			}
		})
	}
	if err := CheckModule("big", broken{}, MaxModuleSize+1, Abilities{}); !errdefs.IsInvalidArgument(err) {
		t.Fatalf("an oversized module gave %v", err)
	}
	var r *Refusal
	if err := CheckModule("big", strings.NewReader(elfHead), MaxModuleSize+1, Abilities{}); !errors.As(err, &r) || r.Kind != KindNative {
		t.Fatalf("an oversized program gave %v", err)
	}
}

// counter counts reads: the work must be bounded by the number of sections.
type counter struct {
	io.ReaderAt
	n int
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	c.n++
	return c.ReaderAt.ReadAt(p, off)
}

func FuzzSniff(f *testing.F) {
	for _, s := range [][]byte{module, component, module[:20], {}, []byte("#!"), append(bytes.Clone(module[:8]), 0, 0x80, 0x80, 0x80, 0x80, 0)} {
		f.Add(s, int64(len(s)))
	}
	f.Fuzz(func(t *testing.T, data []byte, size int64) {
		r := &counter{ReaderAt: bytes.NewReader(data)}
		kind, err := Sniff(r, size)
		if r.n > maxSections+2 {
			t.Fatalf("%d reads", r.n)
		}
		if err == nil && size > int64(len(data)) && (kind == KindModule || kind == KindComponent) {
			t.Fatalf("%d of %d bytes pass for a whole %s", len(data), size, kind)
		}
	})
}

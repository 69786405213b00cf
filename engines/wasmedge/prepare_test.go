//go:build cgo && linux && amd64

package wasmedge

import (
	"bytes"
	"strings"
	"testing"

	"blazar/engines/enginetest/wasmgen"
	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

// section writes one of at most 127 bytes.
func section(id byte, body string) string { return string([]byte{id, byte(len(body))}) + body }

// wasm is a module with one type, () -> results, two functions of it, and their code.
func wasm(results, globals, first, second string) string {
	body := func(code string) string { return string([]byte{byte(len(code))}) + code }
	types := section(1, "\x01\x60\x00"+string([]byte{byte(len(results))})+results)
	return "\x00asm\x01\x00\x00\x00" + types + section(3, "\x02\x00\x00") + globals +
		section(7, "\x01\x06_start\x00\x01") + section(10, "\x02"+body(first)+body(second))
}

func TestReturnsLook(t *testing.T) {
	const i32, i64, leaf = "\x7f", "\x7e", "\x00\x00\x0b" // no locals; unreachable
	look := string((&returnHook{}).look())
	const counter = "\x06\x06\x01\x7f\x01\x41\x01\x0b"
	for name, c := range map[string]struct{ results, code, want string }{
		"Call":         {"", "\x00\x10\x00\x0b", "\x00\x02\x40\x10\x00\x0b" + look + "\x0b"},
		"Locals":       {"", "\x01\x02\x7e\x10\x00\x0b", "\x01\x02\x7e\x02\x40\x10\x00\x0b" + look + "\x0b"},
		"Result":       {i32, "\x00\x10\x00\x0b", "\x00\x02\x7f\x10\x00\x0b" + look + "\x0b"},
		"Return":       {i32, "\x00\x10\x00\x0f\x0b", "\x00\x02\x7f\x10\x00\x0c\x00\x0b" + look + "\x0b"},
		"ReturnWithin": {i32, "\x00\x02\x40\x10\x00\x0f\x0b\x00\x0b", "\x00\x02\x7f\x02\x40\x10\x00\x0c\x01\x0b\x00\x0b" + look + "\x0b"},
		"TailCall":     {i32, "\x00\x12\x00\x0b", "\x00\x02\x7f" + look + "\x12\x00\x0b" + look + "\x0b"},
		"TwoResults":   {i32 + i64, "\x00\x10\x00\x0b", "\x00\x02\x01\x10\x00\x0b" + look + "\x0b"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := newPrepared([]byte(wasm(c.results, "", leaf, c.code)))
			if err != nil || p.refused != nil {
				t.Fatal(err, p.refused)
			}
			want := wasm(c.results, counter, leaf, c.want)
			if len(c.results) > 1 { // the block has a type of its own
				want = strings.Replace(want, section(1, "\x01\x60\x00\x02"+c.results),
					section(1, "\x02\x60\x00\x02"+c.results+"\x60\x00\x02"+c.results), 1)
			}
			if string(p.module) != want {
				t.Errorf("got % x\nwant % x", p.module, want)
			}
		})
	}
	t.Run("NoCalls", func(t *testing.T) {
		module := []byte(wasm("", "", leaf, leaf))
		p, err := newPrepared(module)
		if err != nil || p.refused != nil {
			t.Fatal(err, p.refused)
		}
		if code := sectionOf(t, p.module, wasmbin.SectionCode); !bytes.Equal(code, sectionOf(t, module, wasmbin.SectionCode)) {
			t.Errorf("code without calls became % x", code)
		}
	})
}

func sectionOf(t *testing.T, module []byte, id byte) []byte {
	t.Helper()
	sections, err := wasmbin.Sections(module)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		if s.ID == id {
			return s.Body
		}
	}
	t.Fatalf("no section %d", id)
	return nil
}

func TestSigned(t *testing.T) {
	for v, want := range map[uint32]string{0: "\x00", 63: "\x3f", 64: "\xc0\x00", 127: "\xff\x00", 128: "\x80\x01", 8192: "\x80\xc0\x00"} {
		if got := signed(v); string(got) != want {
			t.Errorf("%d is % x, want % x", v, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	section := []byte("\x04name\x00\x02\x01m\x01\x0b\x02\x00\x03one\x05\x03\x1b\nt")
	n := newNames(2, 300, section)
	for index, want := range map[uint32]string{0: "one", 5: "??t", 7: "func[7]"} {
		if got := n.name(index); got != want {
			t.Errorf("function %d is %q, want %q", index, got, want)
		}
	}
	if first, end := n.own(); first != 2 || end != 300 {
		t.Errorf("own functions are %d to %d, want 2 to 300", first, end)
	}
	if got := newNames(0, 4, nil).name(3); got != "func[3]" {
		t.Errorf("without names: %q", got)
	}
}

func TestLargeFunctions(t *testing.T) {
	var m wasmgen.Module
	m.Command("_start", nil, bytes.Repeat(wasmgen.Nop, maxBody))
	if _, err := newPrepared(m.Bytes()); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a function larger than its stack's guard: %v", err)
	}
}

// FuzzPrepare: whatever the file, preparing it ends in a typed error or in a module
// that splits into sections.
func FuzzPrepare(f *testing.F) {
	f.Add([]byte(wasm("\x7f", "", "\x00\x00\x0b", "\x00\x10\x00\x0f\x0b")))
	f.Add([]byte("\x00asm\x0d\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := newPrepared(file)
		if err != nil {
			if !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if _, err := wasmbin.Sections(p.module); err != nil {
			t.Errorf("the rewritten module is malformed: %v", err)
		}
	})
}

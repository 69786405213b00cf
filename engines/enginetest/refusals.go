package enginetest

import (
	"strings"
	"testing"

	"blazar/engines"
	"blazar/engines/internal/wasmbin"
	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"

	"github.com/containerd/errdefs"
)

func testRefusals(t *testing.T, e engines.Engine) {
	imports := func(module, name string, params, results []w.ValueType) []byte {
		m := newWASI()
		m.Import(module, name, params, results)
		return m.command(nil)
	}
	invalid, notImplemented := errdefs.IsInvalidArgument, errdefs.IsNotImplemented
	for name, c := range map[string]struct {
		module []byte
		is     func(error) bool
		text   string // part of the error
	}{
		"Empty":           {nil, invalid, "empty"},
		"Text":            {[]byte("hello world"), invalid, "not a WebAssembly module"},
		"ELF":             {[]byte("\x7fELF\x02\x01\x01\x00aaaaaaaa"), invalid, "ELF"},
		"UnknownVersion":  {[]byte("\x00asm\x07\x00\x00\x00"), invalid, "version"},
		"Component":       {[]byte("\x00asm\x0d\x00\x01\x00"), notImplemented, "component"},
		"UnknownModule":   {imports("env", "emscripten_run", nil, nil), notImplemented, `"env"."emscripten_run"`},
		"UnknownFunction": {imports(wasip1.ModuleName, "fd_fly", nil, nil), notImplemented, "fd_fly"},
		"OlderWASI":       {imports("wasi_unstable", "fd_write", i32s(4), i32), notImplemented, "wasi_unstable"},
		"WrongSignature":  {imports(wasip1.ModuleName, "fd_read", i32s(2), i32), invalid, "fd_read"},
		"ImportedMemory":  {importedMemory(), notImplemented, `memory "env"."memory"`},
		"TypeMismatch":    {newWASI().command(nil, w.I64Const(1), w.I32Eqz, w.Drop), invalid, ""},
		"StackUnderflow":  {newWASI().command(nil, w.I32Add, w.Drop), invalid, ""},
		"UnknownCallee":   {newWASI().command(nil, w.Call(99)), invalid, ""},
		"BadBranch":       {newWASI().command(nil, w.Br(99)), invalid, ""},
		"BadOpcode":       {newWASI().command(nil, []byte{0xff}), invalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.Compile(t.Context(), c.module, t.TempDir())
			if !c.is(err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("the error is %v; want another type, or the text %q", err, c.text)
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\r") {
				t.Errorf("control characters in %q", err)
			}
		})
	}
}

func importedMemory() []byte {
	m := newWASI()
	m.ImportMemory("env", "memory", 1)
	m.Command("_start", nil)
	return m.Bytes()
}

// testTruncated cuts a module at every byte: an error, or a module that ended
// exactly between two sections.
func testTruncated(t *testing.T, e engines.Engine) {
	module := echoing()
	sections, err := wasmbin.Sections(module)
	if err != nil {
		t.Fatal(err)
	}
	whole := map[int]bool{wasmbin.HeaderSize: true} // lengths at which a section ends
	end := wasmbin.HeaderSize
	for _, s := range sections {
		end += 1 + len(wasmbin.AppendU32(nil, uint32(len(s.Body)))) + len(s.Body)
		whole[end] = true
	}
	for n := range module {
		err := e.Compile(t.Context(), module[:n:n], t.TempDir())
		if err != nil && !errdefs.IsInvalidArgument(err) || err == nil && !whole[n] {
			t.Errorf("cut after %d of %d bytes: %v", n, len(module), err)
		}
	}
}

// testHostile compiles modules that ask for absurd amounts of everything: a typed
// error in any case, and neither a crash nor gigabytes in between.
func testHostile(t *testing.T, e engines.Engine) {
	section := func(id byte, body string) []byte {
		return cat([]byte("\x00asm\x01\x00\x00\x00"), []byte{id, byte(len(body))}, []byte(body))
	}
	const lots = "\xff\xff\xff\xff\x0f" // 2^32-1
	modules := map[string][]byte{
		"Types":    section(1, lots),
		"Params":   section(1, "\x01\x60"+lots),
		"Imports":  section(2, lots),
		"Name":     section(2, "\x01"+lots),
		"Funcs":    section(3, lots),
		"Tables":   section(4, lots),
		"Table":    section(4, "\x01\x70\x00"+lots),
		"Memories": section(5, lots),
		"Memory":   section(5, "\x01\x00"+lots),
		"Globals":  section(6, lots),
		"Exports":  section(7, lots),
		"Elems":    section(9, lots),
		"Elem":     section(9, "\x01\x01\x00"+lots),
		"Exprs":    section(9, "\x01\x05\x70"+lots),
		"Code":     section(10, lots),
		"Body":     section(10, "\x01"+lots),
		"Data":     section(11, lots),
		"Segment":  section(11, "\x01\x01"+lots),
		"Section":  cat([]byte("\x00asm\x01\x00\x00\x00\x01"), []byte(lots)),
		"Locals": cat([]byte("\x00asm\x01\x00\x00\x00"), []byte("\x01\x04\x01\x60\x00\x00"), []byte("\x03\x02\x01\x00"),
			[]byte("\x0a\x0a\x01\x08\x01"+lots+"\x7e\x0b")),
	}
	for name, module := range modules {
		t.Run(name, func(t *testing.T) {
			if err := e.Compile(t.Context(), module, t.TempDir()); !errdefs.IsInvalidArgument(err) {
				t.Errorf("the error is %v, want invalid argument", err)
			}
		})
	}
	t.Run("TableGrowth", func(t *testing.T) {
		// table.grow by 2^27 elements at a time, until it fails
		m := newWASI()
		m.Table(0, w.Unbounded)
		grow := []byte{0xd0, 0x70, 0x41, 0x80, 0x80, 0x80, 0xc0, 0x00, 0xfc, 0x0f, 0x00} // ref.null func; i32.const 2^27; table.grow 0
		module := m.command(nil, w.Loop(grow, w.I32Const(-1), w.I32Ne, w.BrIf(0)), w.I32Const(5), m.exitWith())
		wantCode(t, runModule(t, e, module, engines.Config{MemoryLimit: 1 << 20}), 5)
	})
	t.Run("DeepBlocks", func(t *testing.T) {
		body := w.Nop
		for range 5000 {
			body = cat([]byte{0x02, 0x40}, body, []byte{0x0b})
		}
		wantCode(t, runModule(t, e, newWASI().command(nil, body), engines.Config{}), 0)
	})
}

package enginetest

import (
	"strings"
	"testing"

	"blazar/engines"
	"blazar/engines/wasip1"

	w "blazar/engines/enginetest/wasmgen"

	"github.com/containerd/errdefs"
)

func testInfo(t *testing.T, e engines.Engine) {
	i := e.Info()
	if i.Name == "" || i.Version == "" || i.Settings == "" || len(i.Capabilities) == 0 {
		t.Errorf("info is incomplete: %+v", i)
	}
}

func testExitCodes(t *testing.T, e engines.Engine) {
	// The last two are what engines use inside for "canceled" and "timed out".
	for _, code := range []uint32{0, 1, 42, 255, 256, 0xffffffff, 0xefffffff} {
		t.Run(uitoa(code), func(t *testing.T) {
			wantCode(t, runModule(t, e, exiting(int32(code)), engines.Config{}), code)
		})
	}
	t.Run("Return", func(t *testing.T) {
		wantCode(t, runModule(t, e, newWASI().command(nil), engines.Config{}), 0)
	})
	t.Run("NestedCalls", func(t *testing.T) {
		m := newWASI()
		f := m.Func("inner", nil, nil, nil, w.I32Const(42), m.exitWith(), w.Unreachable)
		for range 10 {
			f = m.Func("", nil, nil, nil, w.Call(f), w.Unreachable)
		}
		wantCode(t, runModule(t, e, m.command(nil, w.Call(f), w.Unreachable), engines.Config{}), 42)
	})
	t.Run("InStartFunction", func(t *testing.T) {
		m := newWASI()
		m.Start(m.Func("start", nil, nil, nil, w.I32Const(9), m.exitWith()))
		wantCode(t, runModule(t, e, m.command(nil, w.Unreachable), engines.Config{}), 9)
	})
}

func testEntries(t *testing.T, e engines.Engine) {
	m := newWASI()
	m.Memory(1, 1)
	m.ExportFunc("_initialize", m.Func("", nil, nil, nil, store(dataAt, 3)))
	m.ExportFunc("answer", m.Func("", nil, i32, nil, w.I32Const(dataAt), w.I32Load(0), w.I32Const(4), w.I32Add))
	m.ExportFunc("nothing", m.Func("", nil, nil, nil))
	m.ExportFunc("takes", m.Func("", i32, nil, nil))
	m.ExportFunc("wide", m.Func("", nil, []w.ValueType{i64}, nil, w.I64Const(1)))
	module := load(t, e, m.Bytes())
	for entry, code := range map[string]uint32{"answer": 7, "nothing": 0, "_initialize": 0} {
		t.Run(entry, func(t *testing.T) {
			wantCode(t, newGuest(t, module, wasip1.Config{}, engines.Config{Entry: entry}).run(), code)
		})
	}
	for _, entry := range []string{"", "absent", "memory", "takes", "wide"} {
		t.Run("Refused/"+entry, func(t *testing.T) {
			s, err := wasip1.New(wasip1.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }() // holds nothing
			_, err = module.New(t.Context(), engines.Config{System: s, Entry: entry})
			if !errdefs.IsNotFound(err) {
				t.Fatalf("error is %v, want not found", err)
			}
			for _, would := range []string{"answer", "nothing"} {
				if !strings.Contains(err.Error(), would) {
					t.Errorf("%q does not name the export %s, which would do", err, would)
				}
			}
			if strings.Contains(err.Error(), "wide\",") {
				t.Errorf("%q names an export that would not do", err)
			}
		})
	}
	t.Run("ReactorIsNotInitializedTwice", func(t *testing.T) {
		m := newWASI()
		m.Memory(1, 1)
		count := cat(w.I32Const(dataAt), w.I32Const(dataAt), w.I32Load(0), w.I32Const(1), w.I32Add, w.I32Store(0))
		m.ExportFunc("_initialize", m.Func("", nil, nil, nil, count))
		m.ExportFunc("count", m.Func("", nil, i32, nil, w.I32Const(dataAt), w.I32Load(0)))
		wantCode(t, runModule(t, e, m.Bytes(), engines.Config{Entry: "count"}), 1)
	})
}

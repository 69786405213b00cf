package enginetest

import (
	"math"
	"strings"
	"testing"

	"blazar/engines"

	w "blazar/engines/enginetest/wasmgen"
)

// NullElements is the row of an engine's capability matrix that says, where it
// is present, that the engine reports a null table element as an undefined one.
const NullElements = "null table elements"

// trapping makes a guest whose function boom has the given body; it has a table
// of four elements, the first of which is a function () -> (i32).
func trapping(name string, body ...[]byte) []byte {
	m := newWASI()
	m.Table(4, 4)
	m.Elem(0, m.Func("element", nil, i32, nil, w.I32Const(1)))
	f := m.Func(name, nil, nil, nil, body...)
	return m.command(nil, w.Call(f))
}

func testTraps(t *testing.T, e engines.Engine) {
	null := engines.TrapIndirectNull
	if _, ok := e.Info().Capabilities[NullElements]; ok {
		null = engines.TrapTable
	}
	// indirect calls the table's element as a function () -> ().
	indirect := func(element int32) []byte {
		m := newWASI()
		m.Table(4, 4)
		m.Elem(0, m.Func("element", nil, i32, nil, w.I32Const(1)))
		boom := m.Func("boom", nil, nil, nil, w.I32Const(element), w.CallIndirect(m.TypeIndex(nil, nil)))
		return m.command(nil, w.Call(boom))
	}
	for name, c := range map[string]struct {
		kind   string
		module []byte
	}{
		"Unreachable":        {engines.TrapUnreachable, trapping("boom", w.Unreachable)},
		"Load":               {engines.TrapMemory, trapping("boom", w.I32Const(-1), w.I32Load(0), w.Drop)},
		"LoadBehindEnd":      {engines.TrapMemory, trapping("boom", w.I32Const(65533), w.I32Load(0), w.Drop)},
		"LoadOffset":         {engines.TrapMemory, trapping("boom", w.I32Const(-1), w.I32Load(math.MaxUint32), w.Drop)},
		"Store":              {engines.TrapMemory, trapping("boom", w.I32Const(65536), w.I32Const(1), w.I32Store(0))},
		"UndefinedElement":   {engines.TrapTable, indirect(4)},
		"NullElement":        {null, indirect(1)},
		"Signature":          {engines.TrapSignature, indirect(0)},
		"DivideByZero":       {engines.TrapDivideByZero, trapping("boom", w.I32Const(1), w.I32Const(0), w.I32DivS, w.Drop)},
		"RemainderByZero":    {engines.TrapDivideByZero, trapping("boom", w.I32Const(1), w.I32Const(0), w.I32RemS, w.Drop)},
		"DivisionOverflow":   {engines.TrapOverflow, trapping("boom", w.I32Const(math.MinInt32), w.I32Const(-1), w.I32DivS, w.Drop)},
		"ConversionOverflow": {engines.TrapOverflow, trapping("boom", w.F64Const(1e20), w.I32TruncF64S, w.Drop)},
		"Conversion":         {engines.TrapConversion, trapping("boom", w.F64Const(math.NaN()), w.I32TruncF64S, w.Drop)},
	} {
		t.Run(name, func(t *testing.T) {
			trap := wantTrap(t, runModule(t, e, c.module, engines.Config{}), c.kind)
			if trap.Function != "boom" {
				t.Errorf("the trap is in %q, want boom; the engine's text is %s", trap.Function, trap.Message)
			}
		})
	}
	t.Run("StackOverflow", func(t *testing.T) {
		m := newWASI()
		const self = 5 // behind the five imports
		m.Func("deep", i32, i32, nil, w.LocalGet(0), w.Call(self), w.I32Const(1), w.I32Add)
		module := m.command(nil, w.I32Const(1), w.Call(self), w.Drop)
		_ = wantTrap(t, runModule(t, e, module, engines.Config{}), engines.TrapStackOverflow) // its kind is all there is
	})
	t.Run("Unnamed", func(t *testing.T) {
		trap := wantTrap(t, runModule(t, e, trapping("", w.Unreachable), engines.Config{}), engines.TrapUnreachable)
		if !strings.Contains(trap.Function, "6") {
			t.Errorf("the trap is in %q, want its index, 6", trap.Function)
		}
	})
	t.Run("HostileName", func(t *testing.T) {
		name := "a(b\x1b[2J\nwasm error: unreachable (i32)" + strings.Repeat("x", 1<<20)
		module := trapping(name, w.I32Const(1), w.I32Const(0), w.I32DivS, w.Drop)
		trap := wantTrap(t, runModule(t, e, module, engines.Config{}), engines.TrapDivideByZero)
		if text := trap.Error() + trap.Message; strings.ContainsAny(text, "\x1b\r") || len(text) > 64<<10 {
			t.Errorf("%d bytes, control characters or too long: %.200q", len(text), text)
		}
		if strings.Contains(trap.Function, "\n") {
			t.Errorf("the function's name has lines: %q", trap.Function)
		}
	})
	t.Run("InStartFunction", func(t *testing.T) {
		m := newWASI()
		m.Start(m.Func("boom", nil, nil, nil, w.Unreachable))
		_ = wantTrap(t, runModule(t, e, m.command(nil), engines.Config{}), engines.TrapUnreachable) // its kind is all there is
	})
	t.Run("DataSegment", func(t *testing.T) {
		m := newWASI()
		m.Data(65535, []byte("xx"))
		_ = wantTrap(t, runModule(t, e, m.command(nil), engines.Config{}), engines.TrapMemory) // its kind is all there is
	})
}

// wantTrap checks the kind of trap, and that its text tells something.
func wantTrap(t *testing.T, exit engines.Exit, kind string) *engines.Trap {
	t.Helper()
	if exit.Trap == nil || exit.Trap.Kind != kind || exit.Killed || exit.OOM || exit.Err != nil {
		t.Fatalf("the guest ended with %s, want the trap %q", describe(exit), kind)
	}
	if exit.Trap.Message == "" {
		t.Error("the trap has no message")
	}
	return exit.Trap
}

package wazero

import (
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest/wasmgen"
	"blazar/engines/wasip1"
)

// fib is the guest whose calls cost most for what they do.
func fib(n int32) []byte {
	var m wasmgen.Module
	i32 := []wasmgen.ValueType{wasmgen.I32}
	less := func(k int32) []byte {
		return append(append(append(wasmgen.LocalGet(0), wasmgen.I32Const(k)...), wasmgen.I32Sub...), wasmgen.Call(0)...)
	}
	m.Func("fib", i32, i32, nil,
		wasmgen.LocalGet(0), wasmgen.I32Const(2), wasmgen.I32LtU, wasmgen.If(wasmgen.LocalGet(0), wasmgen.Return),
		less(1), less(2), wasmgen.I32Add)
	m.Command("_start", nil, wasmgen.I32Const(n), wasmgen.Call(0), wasmgen.Drop)
	return m.Bytes()
}

func run(b *testing.B, m engines.Module) {
	s, err := wasip1.New(wasip1.Config{})
	if err != nil {
		b.Fatal(err)
	}
	i, err := m.New(b.Context(), engines.Config{System: s})
	if err != nil {
		b.Fatal(err)
	}
	if exit := i.Run(); exit.Err != nil || exit.Trap != nil {
		b.Fatalf("%+v", exit)
	}
	if err := i.Close(); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

func benchEngine(b *testing.B) engines.Engine {
	e, err := New(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkRun is what one more guest of a loaded module costs.
func BenchmarkRun(b *testing.B) {
	for name, module := range map[string][]byte{"Empty": empty(), "Fib27": fib(27)} {
		b.Run(name, func(b *testing.B) {
			e, dir := benchEngine(b), b.TempDir()
			if err := e.Compile(b.Context(), module, dir); err != nil {
				b.Fatal(err)
			}
			m, err := e.Load(b.Context(), dir)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				run(b, m)
			}
			if err := m.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkInterpret(b *testing.B) {
	e := benchEngine(b).(engines.Interpreter)
	module := empty()
	for b.Loop() {
		m, err := e.Interpret(b.Context(), module)
		if err != nil {
			b.Fatal(err)
		}
		run(b, m)
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	e, dir := benchEngine(b), b.TempDir()
	if err := e.Compile(b.Context(), empty(), dir); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		m, err := e.Load(b.Context(), dir)
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

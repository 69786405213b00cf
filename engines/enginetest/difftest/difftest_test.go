package difftest

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"blazar/engines"
	"blazar/engines/wasip1"
	"blazar/engines/wazero"

	w "blazar/engines/enginetest/wasmgen"
)

func TestGenerateIsRepeatable(t *testing.T) {
	if !bytes.Equal(Generate(7), Generate(7)) {
		t.Error("the same seed gives two programs")
	}
	if bytes.Equal(Generate(7), Generate(8)) {
		t.Error("two seeds give the same program")
	}
}

// says is a program that writes a text to stdout and exits with a code.
func says(text string, code int32) []byte {
	var m w.Module
	exit := m.Import(wasip1.ModuleName, "proc_exit", i32, nil)
	write := m.Import(wasip1.ModuleName, "fd_write", []w.ValueType{w.I32, w.I32, w.I32, w.I32}, i32)
	m.Memory(1, 1)
	m.Data(100, []byte(text))
	m.Command("_start", nil, store32(0, 100), store32(4, int32(len(text))),
		w.I32Const(1), w.I32Const(0), w.I32Const(1), w.I32Const(8), w.Call(write), w.Drop, w.I32Const(code), w.Call(exit))
	return m.Bytes()
}

// TestCompareSees has a contestant that runs another module than it is given.
func TestCompareSees(t *testing.T) {
	r := &engines.Registry{}
	r.Register(wazero.Name, wazero.New)
	all := Contestants(t, r)
	if len(all) != 2 {
		t.Fatalf("%d contestants", len(all))
	}
	p := &Program{Module: says("right", 3), Files: map[string]string{"f": "x", "d/": ""}}
	first, differences := Compare(t, all, p)
	if differences != nil || first.End != "exit 3" || first.Stdout != "right" || len(first.Files) != 2 {
		t.Fatalf("got %+v, %q", first, differences)
	}
	for _, c := range []struct {
		module []byte
		want   []string
	}{
		{says("right", 4), []string{`the end is "exit 4", not "exit 3"`}},
		{says("wrong", 3), []string{`stdout is "wrong", not "right"`}},
		{says("right", 3)[:40], []string{`the end is "refused", not "exit 3"`, `stdout is "", not "right"`, `file d/ is there: false, not true`, `file f is there: false, not true`}},
	} {
		liar := Contestant{"liar", func(ctx context.Context, _ []byte, dir string) (engines.Module, error) {
			return all[0].load(ctx, c.module, dir)
		}}
		_, got := Compare(t, []Contestant{all[0], liar}, p)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], "liar against wazero: ")
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestDifferenceInFiles(t *testing.T) {
	want := &Outcome{Files: map[string]string{"a": "1", "b": strings.Repeat("x", 100)}}
	got := want.Difference(&Outcome{Files: map[string]string{"b": strings.Repeat("x", 50) + "y", "c": ""}})
	if len(got) != 3 || got[0] != "file a is there: false, not true" || !strings.Contains(got[1], "of 51 bytes, from byte 34") || got[2] != "file c is there: true, not false" {
		t.Errorf("got %q", got)
	}
}

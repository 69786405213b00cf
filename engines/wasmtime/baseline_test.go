//go:build cgo

package wasmtime

import (
	"runtime"
	"strings"
	"testing"

	"blazar/engines"
	"blazar/engines/internal/artifact"

	"github.com/containerd/errdefs"
)

// TestBaselineIsWinch: the way past the interface leads where it should. Wasmtime
// itself says of code whether Winch has made it.
func TestBaselineIsWinch(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		if _, err := (tiered{}).Baseline(); !errdefs.IsNotImplemented(err) {
			t.Errorf("a baseline engine on %s: %v", runtime.GOARCH, err)
		}
		return
	}
	b, dir := openBaseline(t), t.TempDir()
	if err := b.Compile(t.Context(), []byte(header), dir); err != nil {
		t.Fatal(err)
	}
	m, err := artifact.Read(dir, b.Info())
	if err != nil {
		t.Fatal(err)
	}
	other, err := optimised()
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.load(dir, m)
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "winch") {
		t.Errorf("the optimising engine says of baseline code: %v", err)
	}
}

// TestTiersDoNotMix: an artifact of the one is none of the other.
func TestTiersDoNotMix(t *testing.T) {
	all := []engines.Engine{open(t), openBaseline(t)}
	for i, e := range all {
		dir := t.TempDir()
		if err := e.Compile(t.Context(), []byte(header), dir); err != nil {
			t.Fatal(err)
		}
		if _, err := all[1-i].Load(t.Context(), dir); !errdefs.IsNotFound(err) {
			t.Errorf("%s loads an artifact of %s: %v", all[1-i].Info().Name, e.Info().Name, err)
		}
	}
}

// TestRegistryKnowsBaseline: the name of a baseline engine opens it.
func TestRegistryKnowsBaseline(t *testing.T) {
	r := &engines.Registry{}
	r.Register(Name, New)
	e, err := r.Open(t.Context(), Name+engines.BaselineSuffix)
	if err != nil || e.Info().Name != Name+engines.BaselineSuffix {
		t.Errorf("%v, %v", e, err)
	}
	if _, err := r.Open(t.Context(), "none"+engines.BaselineSuffix); !errdefs.IsInvalidArgument(err) {
		t.Error(err)
	}
	if len(r.Names()) != 1 {
		t.Errorf("names %q", r.Names())
	}
}

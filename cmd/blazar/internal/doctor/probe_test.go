package doctor

import (
	"os"
	"testing"

	"blazar/internal/testneeds"
)

func TestRealKernelHasEverything(t *testing.T) {
	testneeds.Root(t)
	dir, err := os.MkdirTemp("/var/lib", "doctor")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	k := RealKernel(dir)
	for _, f := range kernelFeatures {
		if err := k.Try(f.feature); err != nil {
			t.Errorf("%s: %v", f.feature, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if k.Try("nonsense") == nil {
		t.Error("an unknown feature works")
	}
}

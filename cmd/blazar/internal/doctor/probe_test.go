package doctor

import (
	"os"
	"testing"
)

func TestRealKernelHasEverything(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("root is needed")
	}
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
	if k.Try("nonsense") == nil {
		t.Error("an unknown feature works")
	}
}

package openfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"blazar/internal/openfile"
)

func TestControl(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := openfile.Control(f, func(n int) error { return unix.Ftruncate(n, 7) }); err != nil {
		t.Error(err)
	}
	if st, err := f.Stat(); err != nil || st.Size() != 7 {
		t.Errorf("%v, %v", st, err)
	}
	mine := errors.New("mine")
	if err := openfile.Control(f, func(int) error { return mine }); !errors.Is(err, mine) {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	err = openfile.Control(f, func(int) error { t.Error("called with a closed file"); return nil })
	if err == nil {
		t.Error("a closed file has no descriptor")
	}
}

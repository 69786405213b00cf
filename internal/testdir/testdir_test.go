package testdir

import (
	"os"
	"path/filepath"
	"testing"
)

// TestNew leaves a directory that only root could remove as it is.
func TestNew(t *testing.T) {
	var dir, closed string
	t.Run("use", func(t *testing.T) {
		dir = New(t)
		closed = filepath.Join(dir, "a", "b")
		if err := os.MkdirAll(closed, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, d := range []string{closed, filepath.Dir(closed)} {
			if err := os.Chmod(d, 0o555); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { // before New's
			if st, err := os.Stat(closed); err != nil || st.Mode().Perm() != 0o555 {
				t.Error(st, err)
			}
		})
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

func TestWritable(t *testing.T) {
	dir := t.TempDir()
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o555); err != nil {
		t.Fatal(err)
	}
	Writable(t, dir)
	defer func() {
		if err := RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	if st, err := os.Stat(sub); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

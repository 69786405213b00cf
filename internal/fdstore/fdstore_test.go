package fdstore

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// What is passed to a process can be taken once, by name; what was meant for another
// process cannot.
func TestTake(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		child(t)
		return
	}
	for _, mine := range []bool{true, false} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString("kept"); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		pid := "1"
		if mine {
			pid = "$$"
		}
		c := exec.CommandContext(t.Context(), "/bin/sh", "-c", "export LISTEN_PID="+pid+"; exec "+os.Args[0]+" -test.run=TestTake -test.v")
		c.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=pipe")
		c.ExtraFiles = []*os.File{r}
		out, err := c.CombinedOutput()
		if err != nil || strings.Contains(string(out), "took it") != mine {
			t.Errorf("mine %t: %v\n%s", mine, err, out)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func child(t *testing.T) {
	s := Open()
	if os.Getenv("LISTEN_FDS") != "" {
		t.Error("children would take it too")
	}
	if s.Take("other") != nil {
		t.Error("a name that nobody has used")
	}
	f := s.Take("pipe")
	if f == nil {
		return
	}
	b := make([]byte, 10)
	if n, err := f.Read(b); err == nil && string(b[:n]) == "kept" {
		t.Log("took it")
	}
	if s.Take("pipe") != nil {
		t.Error("taken twice")
	}
	if err := s.Rest(); err != nil {
		t.Error(err)
	}
}

func TestNobodyKeeps(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	s := Open()
	if err := s.Keep("x", 0); err != nil {
		t.Error(err)
	}
	if err := s.Drop("x"); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", t.TempDir()+"/none")
	if err := Open().Keep("x", 0); err == nil {
		t.Error("kept by a service manager that is not there")
	}
}

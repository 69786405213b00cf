package builtin

import (
	"context"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"blazar/internal/testneeds"
	"blazar/internal/wasmedgelib"
)

// TestMain lets the test binary be the child that describes engines.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != DescribeCommand {
		os.Exit(m.Run())
	}
	b, err := Describe(context.Background(), os.Args[2])
	if err == nil {
		_, err = os.Stdout.Write(b)
	}
	if err != nil {
		panic(err)
	}
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// A child says of an engine what the engine says in a process that has the library.
func TestDescribed(t *testing.T) {
	r := Described(self(t), os.Getenv(wasmedgelib.Env))
	if got, want := r.Names(), Engines().Names(); !slices.Equal(got, want) {
		t.Errorf("engines %q, want %q", got, want)
	}
	here, err := Engines().Open(t.Context(), wasmedgelib.Engine)
	testneeds.NoError(t, err)
	e, err := r.Open(t.Context(), wasmedgelib.Engine)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.Info(), here.Info(); !reflect.DeepEqual(got, want) {
		t.Errorf("described as %+v, it is %+v", got, want)
	}
	if _, err := e.Load(t.Context(), t.TempDir()); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("load gave %v", err)
	}
	if err := e.Compile(t.Context(), nil, t.TempDir()); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("compile gave %v", err)
	}
}

func TestDescribedMissing(t *testing.T) {
	for name, c := range map[string]struct {
		program, where string
		is             func(error) bool
		says           string
	}{
		"NoLibrary":  {self(t), t.TempDir(), errdefs.IsNotFound, "libwasmedge0"},
		"NoProgram":  {"/nowhere/blazar", "", errdefs.IsUnavailable, "/nowhere/blazar"},
		"Fails":      {"/bin/false", "", errdefs.IsUnavailable, "exit status 1"},
		"SaysOthers": {"/bin/echo", "", errdefs.IsInternal, "describe-engine wasmedge"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Described(c.program, c.where).Open(t.Context(), wasmedgelib.Engine)
			if !c.is(err) || !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
		})
	}
}

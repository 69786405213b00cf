package builtin

import (
	"context"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"blazar/cmd/internal/described"
	"blazar/engines"
	"blazar/internal/testneeds"
	"blazar/internal/wasmedgelib"
)

// TestMain lets the test binary be the child that describes engines.
func TestMain(m *testing.M) {
	if len(os.Args) < 2 || os.Args[1] != described.Command {
		os.Exit(m.Run())
	}
	b, err := Describe(context.Background(), strings.Join(os.Args[2:], " "))
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

// A program without engines knows those of another as they know themselves.
func TestDescribedAll(t *testing.T) {
	r, err := described.All(t.Context(), self(t), "/nowhere/libwasmedge.so")
	if err != nil {
		t.Fatal(err)
	}
	all := Engines()
	if got, want := r.Names(), all.Names(); !slices.Equal(got, want) {
		t.Errorf("engines %q, want %q", got, want)
	}
	for _, name := range all.Names() {
		if name == wasmedgelib.Engine {
			if _, err := r.Open(t.Context(), name); !errdefs.IsNotFound(err) {
				t.Errorf("a library that is not there: %v", err)
			}
			continue
		}
		for _, name := range []string{name, name + engines.BaselineSuffix} {
			here, want := all.Open(t.Context(), name)
			e, err := r.Open(t.Context(), name)
			if (err == nil) != (want == nil) || errdefs.IsNotImplemented(err) != errdefs.IsNotImplemented(want) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
			if err == nil && !reflect.DeepEqual(e.Info(), here.Info()) {
				t.Errorf("described as %+v, it is %+v", e.Info(), here.Info())
			}
		}
	}
}

func TestDescribedByNobody(t *testing.T) {
	for program, is := range map[string]func(error) bool{
		"/nowhere/blazar": errdefs.IsUnavailable, "/bin/false": errdefs.IsUnavailable, "/bin/echo": errdefs.IsInternal,
	} {
		if _, err := described.All(t.Context(), program, ""); !is(err) || !strings.Contains(err.Error(), program) {
			t.Errorf("%s: %v", program, err)
		}
	}
}

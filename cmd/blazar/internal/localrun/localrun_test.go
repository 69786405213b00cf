package localrun

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"blazar/engines"
	ociwasm "blazar/oci-wasm"
)

func TestCommand(t *testing.T) {
	for name, c := range map[string]struct {
		config     ociwasm.Config
		args, want []string
	}{
		"Own":           {ociwasm.Config{Entrypoint: []string{"/a", "b"}, Cmd: []string{"c"}}, nil, []string{"/a", "b", "c"}},
		"CmdReplaced":   {ociwasm.Config{Entrypoint: []string{"/a", "b"}, Cmd: []string{"c"}}, []string{"x"}, []string{"/a", "b", "x"}},
		"CmdNamesIt":    {ociwasm.Config{Cmd: []string{"/a", "b"}}, []string{"x"}, []string{"/a", "x"}},
		"Artifact":      {ociwasm.Config{}, []string{"x"}, []string{"/", "x"}},
		"ArtifactAlone": {ociwasm.Config{}, nil, []string{"/"}},
	} {
		if got := command(c.config, c.args); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestMerge(t *testing.T) {
	got := merge([]string{"A=1", "B=2", "A=3"}, []string{"C=", "B=9"})
	if want := []string{"A=3", "B=9", "C="}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReport(t *testing.T) {
	trap := &engines.Trap{Kind: engines.TrapMemory, Function: "f", Message: "one\ntwo\n"}
	for name, c := range map[string]struct {
		end  end
		code int
		text string
	}{
		"Code":     {end{exit: engines.Exit{Code: 3}}, 3, ""},
		"Most":     {end{exit: engines.Exit{Code: 256}}, 255, ""},
		"OwnEnd":   {end{exit: engines.Exit{Code: 3}, signal: syscall.SIGTERM, expired: true}, 3, ""},
		"Signal":   {end{exit: engines.Exit{Killed: true}, signal: syscall.SIGINT}, 130, ""},
		"Killed":   {end{exit: engines.Exit{Killed: true}}, 137, ""},
		"Timeout":  {end{exit: engines.Exit{Killed: true}, expired: true}, 124, "blazar: m: ended after its timeout of 1s\n"},
		"OOM":      {end{exit: engines.Exit{OOM: true, Detail: "too much"}}, 137, "blazar: m: too much\n"},
		"Trap":     {end{exit: engines.Exit{Trap: trap}}, 134, "blazar: m: wasm trap: out of bounds memory access in f\n\tone\n\ttwo\n"},
		"TrapLate": {end{exit: engines.Exit{Trap: trap}, expired: true}, 134, "blazar: m: wasm trap: out of bounds memory access in f\n\tone\n\ttwo\n"},
	} {
		var stderr strings.Builder
		code, err := c.end.report(&stderr, "m", Options{Timeout: time.Second})
		if err != nil || code != c.code || stderr.String() != c.text {
			t.Errorf("%s: code %d, text %q, %v; want %d, %q", name, code, stderr.String(), err, c.code, c.text)
		}
	}
	if _, err := (end{exit: engines.Exit{Err: errors.New("broken")}}).report(nil, "m", Options{}); err == nil {
		t.Error("a guest that could not be run is no error")
	}
}

// A signal that comes before there is a guest ends what is being prepared.
func TestSignalBeforeTheGuest(t *testing.T) {
	module := filepath.Join(t.TempDir(), "m.wasm")
	if err := os.WriteFile(module, []byte("\x00asm\x01\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	signals := make(chan os.Signal, 1)
	registry := &engines.Registry{}
	registry.Register("slow", func(ctx context.Context) (engines.Engine, error) {
		signals <- syscall.SIGTERM
		<-ctx.Done()
		return nil, ctx.Err()
	})
	code, err := Run(t.Context(), Options{Target: module, Engines: registry, Cache: filepath.Join(t.TempDir(), "cache"), Signals: signals})
	if code != 143 || err != nil {
		t.Errorf("code %d, %v; want 143", code, err)
	}
	// Without one the error is told.
	broken := &engines.Registry{}
	broken.Register("broken", func(context.Context) (engines.Engine, error) { return nil, errors.New("no library") })
	if _, err := Run(t.Context(), Options{Target: module, Engines: broken, Cache: filepath.Join(t.TempDir(), "cache"), Signals: signals}); err == nil {
		t.Error("no error without an engine")
	}
}

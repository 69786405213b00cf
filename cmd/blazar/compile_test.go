package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"

	"blazar/cmd/internal/builtin"
	"blazar/internal/testdir"
	ociwasm "blazar/oci-wasm"
)

// compileCache is a cache whose compiler is this command's own child.
func compileCache(t *testing.T, l ociwasm.CompileLimits) *ociwasm.Cache {
	t.Helper()
	self, err := exec.LookPath("blazar")
	if err != nil {
		t.Fatal(err)
	}
	c, err := ociwasm.OpenCache(filepath.Join(testdir.New(t), "cache"), ociwasm.CacheOptions{Compiler: &ociwasm.ExecCompiler{Binary: self, Limits: l}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func artifact(t *testing.T, c *ociwasm.Cache, engine string, module []byte) (*ociwasm.Artifact, error) {
	t.Helper()
	k := ociwasm.Key{Digest: digest.FromBytes(module), Engine: engine, CPU: ociwasm.HostCPU()}
	return c.Artifact(t.Context(), k, func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(module)), nil
	})
}

// TestCompileChild compiles with each engine in the child and loads the artifact
// here.
func TestCompileChild(t *testing.T) {
	c := compileCache(t, ociwasm.CompileLimits{})
	for _, name := range builtin.Engines().Names() {
		engine, err := builtin.Engines().Open(t.Context(), name)
		if errdefs.IsUnavailable(err) || errdefs.IsNotFound(err) {
			continue // an engine whose library this host has not
		}
		if err != nil {
			t.Fatal(err)
		}
		a, err := artifact(t, c, name, []byte(exampleModule))
		if err != nil {
			t.Fatal(err)
		}
		m, err := engine.Load(t.Context(), a.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		a.Release()
		broken := append([]byte(exampleModule[:len(exampleModule)-2]), 0xff, 0x0b)
		if _, err := artifact(t, c, name, broken); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: a bad opcode gave %v", name, err)
		}
	}
	if _, err := artifact(t, c, "nonsense", []byte(exampleModule)); !errdefs.IsInvalidArgument(err) {
		t.Errorf("an unknown engine gave %v", err)
	}
}

// bomb is a valid module with one function of that many additions.
func bomb(additions int) []byte {
	body := append([]byte{0, 0x41, 0}, bytes.Repeat([]byte{0x41, 1, 0x6a}, additions)...)
	body = append(body, 0x1a, 0x0b)
	code := binary.AppendUvarint([]byte{1}, uint64(len(body)))
	code = append(code, body...)
	head := exampleModule[:len(exampleModule)-6]
	return append(binary.AppendUvarint([]byte(head+"\x0a"), uint64(len(code))), code...)
}

// TestCompileBomb has the child, and it alone, end at its limits.
func TestCompileBomb(t *testing.T) {
	for name, additions := range map[string]int{
		"wazero":   12 << 20,
		"wasmtime": 2 << 20, // more is beyond what it accepts in one function
	} {
		if !slices.Contains(builtin.Engines().Names(), name) {
			continue // a build without cgo
		}
		if _, err := artifact(t, compileCache(t, ociwasm.CompileLimits{}), name, bomb(10)); err != nil {
			t.Fatalf("%s: not a valid module: %v", name, err)
		}
		for limit, l := range map[string]ociwasm.CompileLimits{
			"CPU time": {CPU: time.Second}, "memory": {Memory: 128 << 20}, "time": {Wall: 200 * time.Millisecond},
		} {
			_, err := artifact(t, compileCache(t, l), name, bomb(additions))
			var e *ociwasm.LimitError
			if !errors.As(err, &e) || e.Limit != limit || !errdefs.IsResourceExhausted(err) {
				t.Errorf("%s, %s: %v", name, limit, err)
			}
		}
	}
}

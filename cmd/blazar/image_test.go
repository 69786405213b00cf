package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	ociwasm "blazar/oci-wasm"
)

// exampleModule is (module (func) (export "_start" (func 0))).
const exampleModule = "\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x0a\x01\x06_start\x00\x00\x0a\x04\x01\x02\x00\x0b"

// TestImageScripts gives every script a registry of its own, $REGISTRY, and
// modules: app.wasm, component.wasm, cut.wasm, native.
func TestImageScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/image",
		Setup: func(e *testscript.Env) error {
			s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
			e.Defer(s.Close)
			e.Setenv("REGISTRY", strings.TrimPrefix(s.URL, "http://"))
			e.Setenv("DOCKER_CONFIG", filepath.Join(e.WorkDir, "docker"))
			for name, data := range map[string]string{
				"app.wasm": exampleModule, "cut.wasm": exampleModule[:20],
				"component.wasm": "\x00asm\x0d\x00\x01\x00", "native": "\x7fELF\x02\x01\x01",
			} {
				if err := os.WriteFile(filepath.Join(e.WorkDir, name), []byte(data), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"badimage": badImage},
	})
}

// badImage KIND TAR makes an image that is refused.
func badImage(ts *testscript.TestScript, _ bool, args []string) {
	p, err := ociwasm.Pack(ociwasm.PackOptions{Module: []byte(exampleModule), Shape: ociwasm.ShapeArtifact})
	ts.Check(err)
	second := p.Put("application/wasm", []byte{0})
	var from, to string
	switch args[0] {
	case "spin":
		from, to = ociwasm.MediaTypeWasmConfig, "application/vnd.fermyon.spin.application.v1+config"
	case "two-modules":
		from, to = `"layers":[`, fmt.Sprintf(`"layers":[{"mediaType":"application/wasm","digest":%q,"size":1},`, second.Digest)
	default:
		ts.Fatalf("unknown kind %q", args[0])
	}
	body := bytes.Replace(p.Memory[p.Manifest.Digest], []byte(from), []byte(to), 1)
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(ociwasm.WriteTar(context.Background(), f, p, p.Put(p.Manifest.MediaType, body)))
	ts.Check(f.Close())
}

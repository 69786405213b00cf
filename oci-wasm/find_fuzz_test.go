package ociwasm

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// FuzzFindModule looks for a module in any layer under any name: into memory and into
// a file it finds the same.
func FuzzFindModule(f *testing.F) {
	layer := func(headers ...tar.Header) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, h := range headers {
			if err := w.WriteHeader(&h); err != nil {
				f.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		return out.Bytes()
	}
	file := tar.Header{Name: "app.wasm", Typeflag: tar.TypeReg, Mode: 0o644}
	f.Add(layer(file), "/app.wasm")
	f.Add(layer(file, file), "app.wasm#entry")
	f.Add(layer(file, tar.Header{Name: "a/b", Typeflag: tar.TypeSymlink, Linkname: "../../app.wasm"}), "a/b")
	f.Add(layer(tar.Header{Name: "../app.wasm", Typeflag: tar.TypeLink, Linkname: "/../../etc/passwd"}), "/app.wasm")
	f.Add(layer(tar.Header{Name: ".wh.app.wasm", Typeflag: tar.TypeReg}, file)[:700], "app.wasm")
	f.Fuzz(func(t *testing.T, layer []byte, command string) {
		m := Memory{}
		image := &Image{Shape: ShapeLinux, Layers: []ocispec.Descriptor{m.add(ocispec.MediaTypeImageLayer, layer)}}
		s, err := Locate(image, command)
		if err != nil {
			return
		}
		out, err := os.Create(filepath.Join(t.TempDir(), "module"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = out.Close() }()
		place, err1 := ExtractModule(t.Context(), m, image, s, out)
		found, err2 := FindModule(t.Context(), m, image, s)
		if (err1 == nil) != (err2 == nil) {
			t.Fatalf("into a file %v, into memory %v", err1, err2)
		}
		if err1 != nil {
			return
		}
		a, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(found)
		if err != nil || !bytes.Equal(a, b) || place != found.Place {
			t.Fatalf("%d bytes of %s in the file, %d of %s in memory, %v", len(a), place, len(b), found.Place, err)
		}
	})
}

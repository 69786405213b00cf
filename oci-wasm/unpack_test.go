package ociwasm

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layerOf writes a tar of any headers; a regular file's contents are its name.
func layerOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// rootfs makes a directory to unpack into, with something beside it to protect.
func rootfs(t *testing.T) (dir, outside string) {
	t.Helper()
	base := t.TempDir()
	dir, outside = filepath.Join(base, "rootfs"), filepath.Join(base, "outside")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(outside, []byte("untouched"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir, outside
}

func unpackLayers(t *testing.T, dir string, l UnpackLimits, layers ...[]byte) error {
	t.Helper()
	m := Memory{}
	image := &Image{}
	for _, data := range layers {
		image.Layers = append(image.Layers, m.add(ocispec.MediaTypeImageLayer, data))
	}
	return UnpackRootfs(t.Context(), m, image, dir, l)
}

func TestUnpackPackedImage(t *testing.T) {
	for _, compress := range []bool{false, true} {
		p := pack(t, PackOptions{Path: "/bin/app.wasm", Compress: compress, Files: []File{{Path: "/data", Mode: fs.ModeDir | 0o777}}})
		image, err := Inspect(t.Context(), p, p.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		dir, _ := rootfs(t)
		if err := UnpackRootfs(t.Context(), p, image, dir, UnpackLimits{}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "bin/app.wasm")); err != nil || !bytes.Equal(got, module) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		if info, err := os.Stat(filepath.Join(dir, "data")); err != nil || info.Mode().Perm() != 0o777 {
			t.Fatalf("got %v, %v", info, err)
		}
	}
}

func TestUnpackZstdAndWhiteouts(t *testing.T) {
	var packed bytes.Buffer
	w, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(layerOf(t, tar.Header{Name: ".wh.old"}, tar.Header{Name: "new"})); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m := Memory{}
	image := &Image{Layers: []ocispec.Descriptor{
		m.add(ocispec.MediaTypeImageLayer, layerOf(t, tar.Header{Name: "old"}, tar.Header{Name: "kept"})),
		m.add(ocispec.MediaTypeImageLayerZstd, packed.Bytes()),
	}}
	dir, _ := rootfs(t)
	if err := UnpackRootfs(t.Context(), m, image, dir, UnpackLimits{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"old": false, "kept": true, "new": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnpackHostileLayers(t *testing.T) {
	const link = tar.TypeSymlink
	for name, headers := range map[string][]tar.Header{
		"dots":                 {{Name: "../outside"}},
		"absolute":             {{Name: "/../outside"}},
		"through a link":       {{Name: "l", Typeflag: link, Linkname: ".."}, {Name: "l/outside"}},
		"through an abs. link": {{Name: "l", Typeflag: link, Linkname: "DIR/.."}, {Name: "l/outside"}},
		"over a link":          {{Name: "l", Typeflag: link, Linkname: "../outside"}, {Name: "l"}},
		"hard link out":        {{Name: "l", Typeflag: tar.TypeLink, Linkname: "../outside"}, {Name: "l"}},
		"hard link to a link":  {{Name: "s", Typeflag: link, Linkname: "../outside"}, {Name: "l", Typeflag: tar.TypeLink, Linkname: "s"}, {Name: "l"}},
		"whiteout out":         {{Name: "../.wh.outside"}},
		"whiteout by a link":   {{Name: "l", Typeflag: link, Linkname: ".."}, {Name: "l/.wh.outside"}},
		"opaque by a link":     {{Name: "l", Typeflag: link, Linkname: ".."}, {Name: "l/.wh..wh..opq"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, outside := rootfs(t)
			for i := range headers {
				headers[i].Linkname = strings.ReplaceAll(headers[i].Linkname, "DIR", dir)
			}
			err := unpackLayers(t, dir, UnpackLimits{}, layerOf(t, headers...))
			t.Logf("ended with %v", err) // refused or redirected, both are well
			entries, rerr := os.ReadDir(filepath.Dir(dir))
			if got, err := os.ReadFile(outside); err != nil || string(got) != "untouched" || rerr != nil || len(entries) != 2 {
				t.Fatalf("outside: %q, %v, %v, %v", got, err, entries, rerr)
			}
			var st, _ = os.Lstat(outside)
			if s, err := statOf(st); err != nil || s.Nlink != 1 {
				t.Fatalf("outside has %d names, %v", s.Nlink, err)
			}
		})
	}
}

func TestUnpackLeavesOutDevicesAndUserBits(t *testing.T) {
	dir, _ := rootfs(t)
	err := unpackLayers(t, dir, UnpackLimits{}, layerOf(t,
		tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
		tar.Header{Name: "disk", Typeflag: tar.TypeBlock, Devmajor: 8},
		tar.Header{Name: "pipe", Typeflag: tar.TypeFifo},
		tar.Header{Name: "su", Mode: 0o6755, Uid: 12345, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "x"}, Format: tar.FormatPAX},
	))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("got %v, %v", entries, err)
	}
	info, err := entries[0].Info()
	if err != nil || info.Mode() != 0o755 {
		t.Fatalf("got %v, %v", info.Mode(), err)
	}
	if st, err := statOf(info); err != nil || st.Uid != uint32(os.Geteuid()) {
		t.Fatalf("owner %d, %v", st.Uid, err)
	}
}

func TestUnpackIsBounded(t *testing.T) {
	many := make([]tar.Header, 30)
	for i := range many {
		many[i].Name = strings.Repeat("x", i+1)
	}
	zeros := func(n int) []byte {
		data, err := gzipped(bytes.Join([][]byte{layerOf(t, tar.Header{Name: "a"})[:1024], make([]byte, n)}, nil))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	t.Run("files", func(t *testing.T) {
		dir, _ := rootfs(t)
		if err := unpackLayers(t, dir, UnpackLimits{Files: 20}, layerOf(t, many...)); !errdefs.IsResourceExhausted(err) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("bytes over two layers", func(t *testing.T) {
		dir, _ := rootfs(t)
		if err := unpackLayers(t, dir, UnpackLimits{Bytes: 500}, layerOf(t, many[:25]...), layerOf(t, many[20:]...)); !errdefs.IsResourceExhausted(err) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("gzip of nothing", func(t *testing.T) {
		m := Memory{}
		image := &Image{Layers: []ocispec.Descriptor{m.add(ocispec.MediaTypeImageLayerGzip, zeros(64<<20))}}
		dir, _ := rootfs(t)
		// Zeros end a tar; whatever comes behind is not read.
		if err := UnpackRootfs(t.Context(), m, image, dir, UnpackLimits{Bytes: 1 << 20, Files: 10}); err != nil && !errdefs.IsResourceExhausted(err) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("digest", func(t *testing.T) {
		m := Memory{}
		d := m.add(ocispec.MediaTypeImageLayer, layerOf(t, many[:2]...))
		m[d.Digest][1000] ^= 1
		dir, _ := rootfs(t)
		if err := UnpackRootfs(t.Context(), m, &Image{Layers: []ocispec.Descriptor{d}}, dir, UnpackLimits{}); !errdefs.IsInvalidArgument(err) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestFindModule(t *testing.T) {
	m := Memory{}
	image := &Image{Shape: ShapeLinux, Config: Config{WorkingDir: "/w"}, Layers: []ocispec.Descriptor{
		m.add(ocispec.MediaTypeImageLayer, layerOf(t, tar.Header{Name: "w/app.wasm"}, tar.Header{Name: "bin/gone"}, tar.Header{Name: "hard", Typeflag: tar.TypeLink, Linkname: "w/app.wasm"})),
		m.add(ocispec.MediaTypeImageLayer, layerOf(t, tar.Header{Name: "bin/.wh.gone"}, tar.Header{Name: "bin/tool", Typeflag: tar.TypeSymlink, Linkname: "../w/app.wasm"},
			tar.Header{Name: "loop", Typeflag: tar.TypeSymlink, Linkname: "loop"})),
	}}
	for arg, want := range map[string]string{"/w/app.wasm": "/w/app.wasm", "app.wasm": "/w/app.wasm", "tool": "/w/app.wasm", "/hard": "/w/app.wasm", "gone": "", "/loop": "", "/x": ""} {
		s, err := Locate(image, arg)
		if err != nil {
			t.Fatal(err)
		}
		f, err := FindModule(t.Context(), m, image, s)
		if want == "" {
			if !errdefs.IsNotFound(err) {
				t.Errorf("%s: got %+v, %v", arg, f, err)
			}
			continue
		}
		if err != nil || f.Place != want || f.Size != int64(len("w/app.wasm")) {
			t.Errorf("%s: got %+v, %v", arg, f, err)
		}
	}
}

package localrun

import (
	"path"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestParseDir(t *testing.T) {
	for in, want := range map[string]Dir{
		"data:/data":      {"data", "/data", false},
		"data:/data:ro":   {"data", "/data", true},
		"/a:/b:rw":        {"/a", "/b", false},
		".:/":             {".", "/", false},
		"a:b:/c":          {"a:b", "/c", false},
		"data:/x/../y/":   {"data", "/y", false},
		"data:/data:/ro":  {"data:/data", "/ro", false},
		"with space:/a b": {"with space", "/a b", false},
	} {
		if got, err := ParseDir(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "data", "data:", ":/data", "data:data", "data:ro", "a\x00:/b"} {
		if got, err := ParseDir(in); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q was read as %+v, %v", in, got, err)
		}
	}
}

func TestParseListen(t *testing.T) {
	for in, want := range map[string]string{
		"tcp:8080": ":8080", "tcp:0": ":0", "tcp:127.0.0.1:80": "127.0.0.1:80", "tcp:[::1]:80": "[::1]:80", "tcp::80": ":80",
	} {
		if got, err := ParseListen(in); err != nil || got.Network != "tcp" || got.Address != want {
			t.Errorf("%q: %+v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "8080", "udp:80", "tcp:", "tcp:x", "tcp:65536", "tcp:-1", "tcp:host:80", "tcp:::1:80", "tcp:1.2.3.4"} {
		if got, err := ParseListen(in); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q was read as %+v, %v", in, got, err)
		}
	}
}

func TestParseMemory(t *testing.T) {
	for in, want := range map[string]uint64{
		"1": 1, "65536": 65536, "64MiB": 64 << 20, "64Mi": 64 << 20, "1 GiB": 1 << 30, "2k": 2000, "3MB": 3e6, "5B": 5,
	} {
		if got, err := ParseMemory(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "-1", "1.5MiB", "MiB", "1 TB", "99999999999GiB", "18446744073709551616"} {
		if got, err := ParseMemory(in); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q was read as %d, %v", in, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("data:/data:ro")
	f.Add("tcp:127.0.0.1:80")
	f.Add("64MiB")
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDir(s); err == nil && (d.Host == "" || !path.IsAbs(d.Guest) || strings.ContainsRune(d.Host+d.Guest, 0)) {
			t.Errorf("%q was read as %+v", s, d)
		}
		if a, err := ParseListen(s); err == nil && (a.Network != "tcp" || !strings.Contains(a.Address, ":")) {
			t.Errorf("%q was read as %+v", s, a)
		}
		if n, err := ParseMemory(s); err == nil && (n == 0 || int64(n) < 0) {
			t.Errorf("%q was read as %d", s, n)
		}
	})
}

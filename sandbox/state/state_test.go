package state

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
)

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "state"))
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sample(id string) *Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return &Record{
		Version: Version, ID: id, Kind: "wasm", Phase: Stopped, Namespace: "k8s.io",
		Config: []byte{1, 2, 3}, NetNS: "/run/netns/x", RuntimeHandler: "blazar-wasm",
		Annotations: map[string]string{"a": "b"},
		Start:       &Start{Pid: 7, StartTime: 1 << 60, Address: "ttrpc+unix:///x", CreatedAt: at, Labels: map[string]string{"l": "m"}},
		Exit:        &Exit{Status: 137, At: at, Reason: "killed"},
		Private:     json.RawMessage(`{"uid":1}`),
	}
}

func TestRoundTrip(t *testing.T) {
	s := open(t)
	if info, err := os.Stat(s.Root()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("root %v, %v", info.Mode(), err)
	}
	var want []*Record
	for _, id := range []string{"a", "b"} {
		must(t, s.Create(id))
		if info, err := os.Stat(s.Dir(id)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("directory %v, %v", info.Mode(), err)
		}
		r := sample(id)
		r.Phase, r.Exit = Started, nil
		must(t, s.Put(r))
		r = sample(id)
		must(t, s.Put(r)) // replaces it
		want = append(want, r)
	}
	if err := s.Create("a"); !errdefs.IsAlreadyExists(err) {
		t.Errorf("second Create: %v", err)
	}
	again, err := Open(s.Root())
	must(t, err)
	got, err := again.Load(t.Context())
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	must(t, s.Remove("a"))
	must(t, s.Remove("a"))
	got, err = again.Load(t.Context())
	must(t, err)
	if len(got) != 1 || got[0].ID != "b" {
		t.Errorf("left: %v", got)
	}
}

func TestBadIDs(t *testing.T) {
	s := open(t)
	for _, id := range []string{"", ".", "..", "a/b", "../x", ".corrupt", "a\x00", strings.Repeat("x", 300)} {
		if err := s.Create(id); !errdefs.IsInvalidArgument(err) {
			t.Errorf("Create(%q): %v", id, err)
		}
		if err := s.Remove(id); !errdefs.IsInvalidArgument(err) {
			t.Errorf("Remove(%q): %v", id, err)
		}
		r := sample("x")
		r.ID = id
		if err := s.Put(r); !errdefs.IsInvalidArgument(err) {
			t.Errorf("Put(%q): %v", id, err)
		}
	}
}

// A record that cannot be used is set aside, whatever is wrong with it, and the
// others are loaded.
func TestCorrupt(t *testing.T) {
	change := func(f func(r *Record)) string {
		r := sample("bad")
		f(r)
		b, err := json.Marshal(r)
		must(t, err)
		return string(b)
	}
	for name, data := range map[string]string{
		"empty":         "",
		"no JSON":       "\x00\xff",
		"cut off":       change(func(*Record) {})[:100],
		"more":          change(func(*Record) {}) + "{}",
		"other version": change(func(r *Record) { r.Version = 99 }),
		"other id":      change(func(r *Record) { r.ID = "good" }),
		"bad id":        change(func(r *Record) { r.ID = "../x" }),
		"no kind":       change(func(r *Record) { r.Kind = "" }),
		"phase":         change(func(r *Record) { r.Phase = "flying" }),
		"no start":      change(func(r *Record) { r.Phase, r.Start = Started, nil }),
		"no exit":       change(func(r *Record) { r.Exit = nil }),
		"too large":     `{"kind":"` + strings.Repeat("x", maxRecord) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			for _, id := range []string{"bad", "good"} {
				must(t, s.Create(id))
				must(t, s.Put(sample(id)))
			}
			must(t, os.WriteFile(filepath.Join(s.Dir("bad"), "of the kind"), []byte("keep"), 0o600))
			must(t, os.WriteFile(filepath.Join(s.Dir("bad"), recordName), []byte(data), 0o600))
			got, err := s.Load(t.Context())
			must(t, err)
			if len(got) != 1 || got[0].ID != "good" {
				t.Errorf("loaded %v", got)
			}
			kept, err := filepath.Glob(filepath.Join(s.Root(), corruptName, "bad-*", "of the kind"))
			must(t, err)
			if len(kept) != 1 {
				t.Errorf("set aside: %v", kept)
			}
			must(t, s.Create("bad")) // the id can be used again
			if got, err := s.Load(t.Context()); err != nil || len(got) != 1 {
				t.Errorf("second Load: %v, %v", got, err)
			}
		})
	}
}

// A process that dies at any point of Create, Put or Remove leaves what Load copes with.
func TestInterrupted(t *testing.T) {
	s := open(t)
	must(t, s.Create("made")) // before the first Put
	must(t, s.Create("half")) // within a Put
	must(t, s.Put(sample("half")))
	must(t, os.WriteFile(filepath.Join(s.Dir("half"), tempName), []byte(`{"ver`), 0o600))
	must(t, s.Create("going")) // within Remove
	must(t, os.MkdirAll(filepath.Join(s.Dir("going"), "a", "b"), 0o700))
	must(t, os.WriteFile(filepath.Join(s.Root(), "stray"), nil, 0o600))
	got, err := s.Load(t.Context())
	must(t, err)
	if diff := cmp.Diff([]*Record{sample("half")}, got); diff != "" {
		t.Error(diff)
	}
	for _, gone := range []string{"made", "going"} {
		if _, err := os.Stat(s.Dir(gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", gone, err)
		}
	}
	must(t, s.Put(sample("half")))
}

// What is mounted below a sandbox's directory is somebody's data.
func TestRemoveStopsAtMounts(t *testing.T) {
	testneeds.Root(t)
	s := open(t)
	data := t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, "precious"), nil, 0o600))
	must(t, s.Create("a"))
	must(t, s.Put(sample("a")))
	dir, file := filepath.Join(s.Dir("a"), "volume"), filepath.Join(s.Dir("a"), "file")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(file, nil, 0o600))
	for target, source := range map[string]string{dir: data, file: filepath.Join(data, "precious")} {
		if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
			t.Fatalf("bind mount: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) }) // again, if the test failed
	}
	if err := s.Remove("a"); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("Remove: %v", err)
	}
	if _, err := os.Stat(filepath.Join(data, "precious")); err != nil {
		t.Error(err)
	}
	must(t, unix.Unmount(dir, 0))
	must(t, unix.Unmount(file, 0))
	must(t, s.Remove("a"))
	if _, err := os.Stat(s.Dir("a")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(data, "precious")); err != nil {
		t.Error(err)
	}
}

// A symbolic link is removed, not followed.
func TestRemoveLinks(t *testing.T) {
	s := open(t)
	data := t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, "precious"), nil, 0o600))
	must(t, s.Create("a"))
	must(t, os.Symlink(data, filepath.Join(s.Dir("a"), "link")))
	must(t, s.Remove("a"))
	if _, err := os.Stat(filepath.Join(data, "precious")); err != nil {
		t.Error(err)
	}
}

// A record that is accepted is written and read again as the same.
func FuzzDecode(f *testing.F) {
	good, err := sample("a").encode()
	must(f, err)
	f.Add(good)
	f.Add([]byte(`{"version":1,"id":"a","kind":"k","phase":"created","private":null}`))
	f.Add([]byte(`{"version":1,"id":"a","kind":"k","phase":"creating","private":{"x":[1,"\u0000"]},"config":"AAEC"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			return
		}
		again, err := r.encode()
		if err != nil {
			t.Fatalf("accepted, but cannot be written: %v", err)
		}
		s, err := decode(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		third, err := s.encode()
		must(t, err)
		if string(third) != string(again) {
			t.Errorf("%s\nbecame\n%s", again, third)
		}
	})
}

// BenchmarkPut shows what a write costs where the records are: TMPDIR picks the file
// system.
func BenchmarkPut(b *testing.B) {
	s := open(b)
	must(b, s.Create("a"))
	r := sample("a")
	r.Config = make([]byte, 2000)
	for b.Loop() {
		must(b, s.Put(r))
	}
}

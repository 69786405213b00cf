package integration

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// hostileImage is an image of any files that a tar can hold, and the busy guest as
// /app.wasm unless it has something else there.
func hostileImage(t *testing.T, entries ...tar.Header) string {
	t.Helper()
	name := "test.invalid/hostile:" + strings.ToLower(strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()))
	busy, err := os.ReadFile(filepath.Join(guests, "busy.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		if h.Mode == 0 {
			h.Mode = 0o777
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(fmt.Sprint(entries), "app.wasm") {
		if err := w.WriteHeader(&tar.Header{Name: "app.wasm", Mode: 0o755, Size: int64(len(busy)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(busy); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	err = theNode.LoadImage(t.Context(), &node.Image{
		Name: name, Platform: linux, Config: ocispec.ImageConfig{Entrypoint: []string{"/app.wasm"}},
		Layers: []node.Layer{{MediaType: ocispec.MediaTypeImageLayer, Content: b.Bytes()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// An image cannot lead the daemon, which is root, out of the container's files, nor
// hold it up.
func TestHostileImages(t *testing.T) {
	outside := openDir(t)
	dir := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir} }
	link := func(name, target string) tar.Header {
		return tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}
	}
	for _, c := range []struct {
		name    string
		entries []tar.Header
		refused string // a part of the reason, empty if the container runs
	}{
		{"etc leads out", []tar.Header{link("etc", outside)}, "nowhere"},
		{"etc leads out by dots", []tar.Header{link("etc", "../../../../../../.."+outside)}, "nowhere"},
		{"etc leads to the root", []tar.Header{link("etc", "/")}, ""},
		{"etc is a file", []tar.Header{{Name: "etc", Typeflag: tar.TypeReg}}, "not a directory"},
		{"hosts leads out", []tar.Header{dir("etc"), link("etc/hosts", outside+"/hosts")}, "nowhere"},
		{"hosts is a FIFO", []tar.Header{dir("etc"), {Name: "etc/hosts", Typeflag: tar.TypeFifo}}, ""},
		{"hosts is a device", []tar.Header{dir("etc"), {Name: "etc/hosts", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}}, ""},
		{"hosts is a directory", []tar.Header{dir("etc"), dir("etc/hosts")}, "etc/hosts"},
		{"hosts is a loop", []tar.Header{dir("etc"), link("etc/hosts", "hosts")}, "etc/hosts"},
		{"volume leads out", []tar.Header{link("data", outside)}, "nowhere"},
		{"module is a FIFO", []tar.Header{{Name: "app.wasm", Typeflag: tar.TypeFifo}}, "no file"},
		{"module is a device", []tar.Header{{Name: "app.wasm", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}}, "app.wasm"},
		{"module is a directory", []tar.Header{dir("app.wasm")}, "app.wasm"},
		{"module is a loop", []tar.Header{link("app.wasm", "app.wasm")}, "app.wasm"},
		{"module leads out", []tar.Header{link("app.wasm", "/etc/shadow")}, "app.wasm"},
		{"module leads into proc", []tar.Header{link("app.wasm", "/proc/self/exe")}, "app.wasm"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startPod(t)
			k := named("main", guest(hostileImage(t, c.entries...), "hello"))
			if c.name == "volume leads out" {
				k.Mounts = []*runtime.Mount{{HostPath: openDir(t), ContainerPath: "/data/sub"}}
			}
			begin := time.Now()
			if c.refused == "" {
				contains(t, output(t, p, k), "hello from wasm")
			} else {
				contains(t, p.refuse(t, k), c.refused)
			}
			if d := time.Since(begin); d > 8*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("made outside: %v, %v", left, err)
	}
}

// Annotations may fail their own container, with a reason.
func TestHostileAnnotations(t *testing.T) {
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprint("tcp:", 2000+i))
	}
	for name, c := range map[string]struct{ key, value, refused string }{
		"many listeners": {"blazar/listen", strings.Join(many, ","), "at most"},
		"elsewhere":      {"blazar/listen", "tcp:192.0.2.7:80", "192.0.2.7"},
		"no port":        {"blazar/listen", "tcp:[::1%lo]:80", "not an address"},
		"engine":         {"blazar/engine", strings.Repeat("x", 200_000), "not available"},
		"listener":       {"blazar/listen", strings.Repeat("x", 200_000), "only tcp"},
	} {
		t.Run(name, func(t *testing.T) {
			p := startPod(t, annotate(c.key, c.value))
			reason := p.refuse(t, busy("hello"))
			contains(t, reason, c.refused)
			if len(reason) > 4000 {
				t.Errorf("the reason has %d bytes", len(reason))
			}
		})
	}
}

// What a guest says while containerd is away, and how it ended, is known afterwards.
func TestEndWithoutContainerd(t *testing.T) {
	p := startPod(t)
	c := busy("spin", "1500")
	k := p.start(t, c)
	k.says(t, "spinning")
	if err := syscall.Kill(theNode.ContainerdPid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	if err := theNode.RestartContainerd(t.Context(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	k.exits(t, 0)
	k.says(t, "spun")
	p.remove(t)
	leavesNothing(t)
}

// processOf finds the pids in what Processes says.
var processOf = regexp.MustCompile(`(?m)^.*wasm-task.*$`)

func wasmTasks() (pids []int) {
	for _, line := range processOf.FindAllString(theNode.Processes(), -1) {
		if pid, err := strconv.Atoi(regexp.MustCompile(`\d+`).FindString(line)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestTaskKilledInAnyPhase(t *testing.T) {
	for _, after := range crashAfter {
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			crash(t, taskKinds[0], after, all, func(context.Context) error {
				for _, pid := range wasmTasks() {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
				return nil
			})
		})
	}
}

// Many execs at once, most of which are killed with their container.
func TestExecFlood(t *testing.T) {
	p := startPod(t)
	k := p.start(t, busy("sleep"))
	k.says(t, "sleeping")
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if i%4 == 0 {
				if out, err := k.exec(t, "/app.wasm", "hello"); err != nil || !strings.Contains(out, "hello") {
					t.Errorf("%q, %v", out, err)
				}
				return
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_ = theNode.CrictlCommand(ctx, "exec", k.ID, "/app.wasm", "spin").Run()
		})
	}
	all.Wait()
	if d := k.stop(t, "5"); d > 8*time.Second {
		t.Errorf("the stop took %v", d)
	}
	p.remove(t)
	leavesNothing(t)
}

// A guest that writes and writes is stopped like any other.
func TestOutputFlood(t *testing.T) {
	p := startPod(t)
	args := []string{"cat"}
	for range 2000 {
		args = append(args, "/app.wasm")
	}
	k := p.start(t, busy(args...))
	time.Sleep(500 * time.Millisecond)
	if d := k.stop(t, "1"); d > 5*time.Second {
		t.Errorf("the stop took %v", d)
	}
	_ = os.Truncate(k.log, 0)
	p.remove(t)
	leavesNothing(t)
}

func TestManyContainers(t *testing.T) {
	p := startPod(t)
	before := descriptors(t)
	for i := range 60 {
		p.start(t, named(fmt.Sprint("c", i), busy("sleep")))
	}
	t.Logf("descriptors of the daemon: %d before, %d with 60 containers", before, descriptors(t))
	begin := time.Now()
	p.remove(t)
	t.Logf("removed in %v", time.Since(begin))
	leavesNothing(t)
}

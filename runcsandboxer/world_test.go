package runcsandboxer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/cgroup"
	"blazar/internal/testneeds"
	"blazar/internal/thread"
	"blazar/runcsandboxer"
	"blazar/runcsandboxer/podfile"
	"blazar/sandbox"
)

var count atomic.Int32

// world is a node for pods, without a shell and a task server.
type world struct {
	t      *testing.T
	state  string
	parent string // cgroup parent of pods that name none
	*runcsandboxer.Sandboxer
}

func newWorld(t *testing.T) *world {
	testneeds.Root(t)
	w := &world{t: t, state: t.TempDir(), parent: fmt.Sprintf("/blazar-test-runc-%d-%d", os.Getpid(), count.Add(1))}
	w.restart()
	t.Cleanup(func() {
		w.Close()
		g, err := cgroup.Parent(w.parent)
		if err != nil || g.Exists() {
			t.Errorf("cgroup %s is left (%v)", w.parent, err)
		}
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil || strings.Contains(string(b), w.state) {
			t.Errorf("mounts below %s are left (%v)", w.state, err)
		}
	})
	return w
}

// restart is a daemon that has ended and another one.
func (w *world) restart() {
	if w.Sandboxer != nil {
		w.Close()
	}
	s, err := runcsandboxer.New(runcsandboxer.Config{
		Reaper: reaper, TaskSocket: filepath.Join(w.state, "taskd.sock"), CgroupParent: w.parent,
		UnprivilegedPorts: true, UnprivilegedPing: true,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Sandboxer = s
}

// request is that of a pod; its records are kept in memory.
type request struct {
	sandbox.Request
	sandbox sandbox.Sandbox // by the daemon of now
	mu      sync.Mutex      // guards saved
	saved   json.RawMessage
}

func (w *world) request(c *cri.PodSandboxConfig, netns string) *request {
	id := fmt.Sprintf("pod%d", count.Add(1))
	dir := podfile.Dir(w.state, runcsandboxer.Kind, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if c.Metadata == nil {
		c.Metadata = &cri.PodSandboxMetadata{Name: id}
	}
	r := &request{}
	r.Request = sandbox.Request{
		ID: id, Namespace: "k8s.io", Dir: dir, Config: c, NetNS: netns, Annotations: map[string]string{},
		Save: func(_ context.Context, v any) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			b, err := json.Marshal(v)
			r.saved = b
			return err
		},
	}
	return r
}

// start makes and starts a pod, which ends with the test.
func (w *world) start(r *request) (sandbox.Sandbox, *sandbox.Started) {
	w.t.Helper()
	sb, err := w.Create(w.t.Context(), &r.Request)
	if err != nil {
		w.t.Fatal(err)
	}
	r.sandbox = sb
	w.t.Cleanup(func() { w.delete(r) })
	s, err := sb.Start(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return sb, s
}

// delete deletes a pod and looks at its directory; again is no error.
func (w *world) delete(r *request) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.sandbox.Delete(ctx); err != nil {
		w.t.Errorf("delete: %v", err)
		return
	}
	left, err := os.ReadDir(r.Dir)
	if err != nil || len(left) > 0 {
		w.t.Errorf("%v is left in the pod's directory (%v)", left, err)
	}
}

// recover finds a pod again.
func (w *world) recover(r *request) sandbox.Sandbox {
	w.t.Helper()
	sb, err := w.Recover(w.t.Context(), &r.Request, r.saved)
	if err != nil {
		w.t.Fatal(err)
	}
	r.sandbox = sb
	return sb
}

// network makes a network namespace, as CRI does: a file that it is bound to.
func (w *world) network() string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "net")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		w.t.Fatal(err)
	}
	var err error
	thread.Throwaway(func() {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			w.t.Error(err)
		}
	})
	return path
}

// inside runs fn on a thread in the pod's namespaces.
func (w *world) inside(r *request, fn func() error) {
	w.t.Helper()
	p, _, err := podfile.Load(w.state, r.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	thread.Throwaway(func() {
		for kind, path := range map[int]string{unix.CLONE_NEWNET: p.Namespaces.Network, unix.CLONE_NEWIPC: p.Namespaces.IPC, unix.CLONE_NEWUTS: p.Namespaces.UTS} {
			if path == podfile.Host {
				continue
			}
			var fd int
			if fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
				return
			}
			if err = unix.Setns(fd, kind); err != nil {
				return
			}
			_ = unix.Close(fd)
		}
		err = fn()
	})
	if err != nil {
		w.t.Error(err)
	}
}

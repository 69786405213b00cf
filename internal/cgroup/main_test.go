package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
	"blazar/internal/thread"
)

// eat makes the test binary take that many bytes of memory and wait.
const eat = "CGROUP_TEST_EAT"

func TestMain(m *testing.M) {
	if os.Getenv(enter) != "" {
		enterThreads()
		os.Exit(0)
	}
	if n, err := strconv.Atoi(os.Getenv(eat)); err == nil {
		b := make([]byte, n)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// v2Host uses v2 where it is: on a hybrid host it has no controllers, but groups.
func v2Host(t testing.TB) host {
	t.Helper()
	testneeds.Root(t)
	h := findHost("/sys/fs/cgroup")
	switch h.mode {
	case V2:
	case Hybrid:
		h = findHost("/sys/fs/cgroup/unified")
	default:
		t.Fatal("this host has no cgroup v2")
	}
	if h.mode != V2 {
		t.Fatalf("mode of %s is %v", h.root, h.mode)
	}
	return h
}

// v1Host is a host with controllers of v1.
func v1Host(t testing.TB) host {
	t.Helper()
	testneeds.Root(t)
	h := findHost("/sys/fs/cgroup")
	if h.mode != V1 && h.mode != Hybrid {
		t.Fatalf("this host has no cgroup v1 (mode %v)", h.mode)
	}
	return h
}

// eachHost runs a test with the versions that this host has: one is enough for a host.
func eachHost(t *testing.T, fn func(t *testing.T, h host)) {
	onV1(t, func(t *testing.T) { fn(t, v1Host(t)) })
	if findHost("/sys/fs/cgroup").mode != V1 {
		t.Run("v2", func(t *testing.T) { fn(t, v2Host(t)) })
	}
}

// onV1 runs what is about v1 alone, unless the host has none of it: most have not.
func onV1(t *testing.T, fn func(t *testing.T)) {
	if findHost("/sys/fs/cgroup").mode == V2 {
		t.Log("this host has cgroup v2 alone")
		return
	}
	t.Run("v1", fn)
}

// limitingHost is a host with controllers, of v2 where there is nothing else. That
// happens in integration/v2guest at the latest.
func limitingHost(t testing.TB) host {
	t.Helper()
	if findHost("/sys/fs/cgroup").mode == V2 {
		return v2Host(t)
	}
	return v1Host(t)
}

// parent is a cgroup parent that no other test uses.
func parent(t testing.TB) string {
	t.Helper()
	name := strings.Map(func(r rune) rune {
		if r == '/' || r <= ' ' || r == '#' {
			return '_'
		}
		return r
	}, t.Name())
	return fmt.Sprintf("/blazar-test-%d/%s", os.Getpid(), name)
}

// newGroup is one with nothing in it, deleted at the end with all it made.
func newGroup(t testing.TB, h host, r *specs.LinuxResources) *Group {
	t.Helper()
	g, err := h.create(t.Context(), parent(t), "pod", r)
	check(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		check(t, g.Kill(ctx))
		check(t, g.Delete(ctx))
		for _, d := range append(g.b.dirs(), g.state.Made...) {
			if _, err := os.Stat(d); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left: %v", d, err)
			}
		}
	})
	return g
}

// born starts a program in the group the way package confine does.
func born(t testing.TB, g *Group, env string, command ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(command[0], command[1:]...)
	c.Env = []string{env}
	dir, err := g.Dir()
	check(t, err)
	if dir != nil {
		c.SysProcAttr = &unix.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		defer func() { check(t, dir.Close()) }()
	}
	thread.Throwaway(func() {
		if err = g.Join(); err == nil {
			err = c.Start()
		}
	})
	check(t, err)
	t.Cleanup(func() {
		_ = c.Process.Kill() // most have ended
		_ = c.Wait()         // killed
	})
	return c
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

var notFound = errdefs.ErrNotFound

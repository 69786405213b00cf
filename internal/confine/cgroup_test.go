package confine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"blazar/internal/cgroup"
	"blazar/internal/testneeds"
)

// TestBornInCgroups starts into a group of this host's cgroups.
func TestBornInCgroups(t *testing.T) {
	testneeds.Root(t)
	limit := int64(64)
	g, err := cgroup.Create(t.Context(), fmt.Sprintf("/confine-test-%d", os.Getpid()), "pod",
		&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}})
	check(t, err)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		check(t, g.Kill(ctx))
		check(t, g.Delete(ctx))
	}()
	own, err := os.ReadFile("/proc/self/cgroup")
	check(t, err)
	dir, err := g.Dir()
	check(t, err)
	if dir != nil {
		defer func() { check(t, dir.Close()) }()
	}
	for range 20 {
		c := config(t)
		c.Join, c.CgroupFD, c.Adopt = g.Join, dir, g.Adopt
		p, err := Start(t.Context(), c)
		check(t, err)
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.Pid))
		check(t, err)
		// All hierarchies that this kernel has mounted, but v2 beside v1.
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if beside := strings.HasPrefix(line, "0::") && g.Mode() != cgroup.V2; !beside && !strings.HasSuffix(line, ":"+g.Path()) {
				t.Errorf("born in %s, want %s", line, g.Path())
			}
		}
		ask(t, p, "hello")
		stop(t, p)
	}
	now, err := os.ReadFile("/proc/self/cgroup")
	check(t, err)
	if string(now) != string(own) {
		t.Errorf("the daemon moved: %s", now)
	}
}

// TestBornInV2 starts into a group of cgroup v2 with CLONE_INTO_CGROUP.
func TestBornInV2(t *testing.T) {
	testneeds.Root(t)
	root := "/sys/fs/cgroup"
	var fs unix.Statfs_t
	check(t, unix.Statfs(root, &fs))
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		root += "/unified"
	}
	path := filepath.Join(root, fmt.Sprintf("confine-test-%d", os.Getpid()))
	check(t, os.Mkdir(path, 0o755))
	dir, err := os.Open(path)
	check(t, err)
	defer func() {
		check(t, dir.Close())
		check(t, os.Remove(path))
	}()
	c := config(t)
	c.CgroupFD = dir
	p, err := Start(t.Context(), c)
	check(t, err)
	defer stop(t, p)
	b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
	check(t, err)
	if strings.TrimSpace(string(b)) != fmt.Sprint(p.Pid) {
		t.Errorf("group holds %q, want %d", b, p.Pid)
	}
}

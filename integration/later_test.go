package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A container like one before it gets its files when the guest first uses them.

// reader is a container whose guest reads files when it is asked to, over HTTP.
func reader(t *testing.T, name string, port int, dir string) (p *pod, c *runtime.ContainerConfig, address string) {
	t.Helper()
	p = startPod(t, annotate("blazar/listen."+name, fmt.Sprintf("tcp:%d", port)))
	c = named(name, busy("serve"))
	c.Mounts = []*runtime.Mount{{HostPath: dir, ContainerPath: "/data"}}
	return p, c, net.JoinHostPort(podIP(t, p), fmt.Sprint(port))
}

// filesOf says whether the container's files are mounted.
func filesOf(t *testing.T, p *pod, k *container) bool {
	t.Helper()
	_, err := os.Stat(fmt.Sprintf("/proc/%d/root/c/%s/rootfs/app.wasm", podPid(t, p), k.ID))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func put(t *testing.T, dir, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Not parallel: it kills blazar serve.
func TestFilesLaterAfterRestart(t *testing.T) {
	dir := openDir(t)
	put(t, dir, "volume")
	p, c, _ := reader(t, "first", 8081, dir)
	p.start(t, c).says(t, "serving")
	q, c, address := reader(t, "second", 8081, dir)
	k := q.start(t, c)
	k.says(t, "serving")
	if filesOf(t, q, k) {
		t.Error("mounted already")
	}
	killServe(t)
	got := make(chan string)
	go func() { got <- get(address, "/cat/etc/greeting") }() // waits for the daemon
	if err := theNode.StartServe(t.Context()); err != nil {
		t.Fatal(err)
	}
	contains(t, <-got, "from the image")
	contains(t, get(address, "/cat/data/file"), "volume")
	if out, err := k.exec(t, "/app.wasm", "cat", "/data/file"); err != nil || strings.TrimSpace(out) != "volume" {
		t.Errorf("%q, %v", out, err)
	}
	p.remove(t)
	q.remove(t)
	leavesNothing(t)
}

func TestFilesLater(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	put(t, dir, "volume")
	p, c, _ := reader(t, "first", 8082, dir)
	p.start(t, c).says(t, "serving")

	t.Run("read by the guest", func(t *testing.T) {
		p, c, address := reader(t, "second", 8082, dir)
		k := p.start(t, c)
		k.says(t, "serving")
		if filesOf(t, p, k) {
			t.Error("mounted already")
		}
		contains(t, get(address, "/cat/etc/greeting"), "from the image")
		if !filesOf(t, p, k) {
			t.Error("not mounted")
		}
		contains(t, get(address, "/cat/data/file"), "volume")
	})
	t.Run("a volume is the one of the start", func(t *testing.T) {
		own := openDir(t)
		put(t, own, "of the start")
		p, c, address := reader(t, "third", 8082, own)
		k := p.start(t, c)
		k.says(t, "serving")
		if filesOf(t, p, k) {
			t.Error("mounted already")
		}
		if err := os.Rename(own, own+".old"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(own + ".old") }()
		if err := os.Mkdir(own, 0o777); err != nil {
			t.Fatal(err)
		}
		put(t, own, "of another")
		contains(t, get(address, "/cat/data/file"), "of the start")
	})
	t.Run("used by an exec", func(t *testing.T) {
		p, c, address := reader(t, "fourth", 8082, dir)
		k := p.start(t, c)
		k.says(t, "serving")
		if out, err := k.exec(t, "/app.wasm", "cat", "/data/file"); err != nil || strings.TrimSpace(out) != "volume" {
			t.Errorf("%q, %v", out, err)
		}
		contains(t, get(address, "/cat/data/file"), "volume")
	})
	t.Run("never used", func(t *testing.T) {
		p, c, _ := reader(t, "fifth", 8082, dir)
		k := p.start(t, c)
		k.says(t, "serving")
		if filesOf(t, p, k) {
			t.Error("mounted already")
		}
		k.stop(t, "10")
		k.exits(t, 0)
		p.remove(t)
	})
	t.Run("another mount point is new", func(t *testing.T) {
		p, c, address := reader(t, "sixth", 8082, dir)
		c.Mounts[0].ContainerPath = "/elsewhere/data"
		k := p.start(t, c)
		k.says(t, "serving")
		if !filesOf(t, p, k) {
			t.Error("not mounted, although nobody knows that it can be")
		}
		contains(t, get(address, "/cat/elsewhere/data/file"), "volume")
	})
	t.Run("a volume that is gone", func(t *testing.T) {
		p, c, _ := reader(t, "seventh", 8082, dir)
		own := openDir(t)
		c.Mounts[0].HostPath = own
		id, err := theNode.CreateContainer(t.Context(), p.ID, c, p.Config)
		if err == nil {
			err = os.Remove(own)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := theNode.StartContainer(t.Context(), id); err == nil || !strings.Contains(err.Error(), own) {
			t.Errorf("the container starts without its volume: %v", err)
		}
	})
}

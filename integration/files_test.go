package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func env(key, value string) *runtime.KeyValue {
	return &runtime.KeyValue{Key: key, Value: []byte(value)}
}

// openDir is a folder that every uid may write, as a volume of Kubernetes is for its
// pod. It is not below t.TempDir, whose parents are closed to others.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "volume-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, w interface{ Write([]byte) (int, error) }, text string) {
	t.Helper()
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// output runs the busy guest to its successful end and returns what it said.
func output(t *testing.T, p *pod, c *runtime.ContainerConfig) string {
	t.Helper()
	k := p.start(t, c)
	k.exits(t, 0)
	return k.logs(t)
}

func TestProcess(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	c := named("env", busy("env"))
	c.Envs = []*runtime.KeyValue{env("COLOUR", "blue"), env("EMPTY", "")}
	contains(t, output(t, p, c), "COLOUR=blue\n", "EMPTY=\n", "FROM_IMAGE=yes\n")

	contains(t, output(t, p, named("args", busy("args", "one", "two words"))), `"args" "one" "two words"`)

	c = named("cwd", busy("cwd"))
	c.WorkingDir = "/etc"
	contains(t, output(t, p, c), "/etc\n")

	// An export in the place of _start.
	c = named("export", raw())
	c.Command = []string{"/raw.wasm#greet"}
	contains(t, output(t, p, c), "greetings from an export")
}

func TestRootfs(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	contains(t, output(t, p, named("read", busy("cat", "/etc/greeting"))), "from the image")
	p.start(t, named("write", busy("write", "/etc/new", "text"))).exits(t, 0)

	c := named("readonly", busy("write", "/etc/new", "text"))
	c.Linux.SecurityContext = &runtime.LinuxContainerSecurityContext{ReadonlyRootfs: true}
	k := p.start(t, c)
	k.exits(t, 1)
	contains(t, strings.ToLower(k.logs(t)), "read-only")

	// What a container writes is its own.
	k = p.start(t, named("other", busy("cat", "/etc/new")))
	k.exits(t, 1)
}

func TestMounts(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	rw, ro := openDir(t), openDir(t)
	if err := os.WriteFile(filepath.Join(ro, "given"), []byte("given by the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	mounts := []*runtime.Mount{
		{HostPath: rw, ContainerPath: "/data"},
		{HostPath: ro, ContainerPath: "/config", Readonly: true},
	}
	run := func(name string, args ...string) *container {
		c := named(name, busy(args...))
		c.Mounts = mounts
		return p.start(t, c)
	}
	run("write", "write", "/data/made", "made by the guest").exits(t, 0)
	b, err := os.ReadFile(filepath.Join(rw, "made"))
	if err != nil || string(b) != "made by the guest\n" {
		t.Errorf("on the host: %q, %v", b, err)
	}
	k := run("read", "cat", "/config/given")
	k.exits(t, 0)
	contains(t, k.logs(t), "given by the host")
	k = run("refused", "write", "/config/made", "x")
	k.exits(t, 1)
	if _, err := os.Stat(filepath.Join(ro, "made")); !os.IsNotExist(err) {
		t.Errorf("a read-only mount was written: %v", err)
	}
}

// A guest that follows a link out of its mount stays inside.
func TestMountIsAWall(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	dir, outside := openDir(t), openDir(t)
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"absolute": secret, "relative": "../" + filepath.Base(outside) + "/secret"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		c := named(name, busy("cat", "/data/"+name))
		c.Mounts = []*runtime.Mount{{HostPath: dir, ContainerPath: "/data"}}
		k := p.start(t, c)
		if s := k.exit(t); s.ExitCode == 0 {
			t.Errorf("the guest read %q", k.logs(t))
		}
	}
}

func TestPodFiles(t *testing.T) {
	t.Parallel()
	p := startPod(t, func(c *runtime.PodSandboxConfig) {
		c.Hostname = "wasm-host"
		c.DnsConfig = &runtime.DNSConfig{Servers: []string{"192.0.2.53"}, Searches: []string{"example.invalid"}}
	})
	contains(t, output(t, p, named("hostname", busy("cat", "/etc/hostname"))), "wasm-host")
	contains(t, output(t, p, named("resolv", busy("cat", "/etc/resolv.conf"))), "192.0.2.53", "example.invalid")
	contains(t, output(t, p, named("hosts", busy("cat", "/etc/hosts"))), "localhost")
}

package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"blazar/engines"
)

// goBuild builds pkg, with or without cgo, and returns the binary.
func goBuild(t *testing.T, name, pkg, cgo string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	c := exec.CommandContext(t.Context(), "go", "build", "-o", out, pkg)
	c.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, text)
	}
	return out
}

func TestShim(t *testing.T) {
	built := filepath.Dir(goBuild(t, shimBinary, "blazar/cmd/containerd-shim-blazar-v1", "0"))
	script := func(text string) *Host {
		root := tree(t, map[string]string{"/bin/" + shimBinary + "*": "#!/bin/sh\n" + text})
		return &Host{Root: root, Containerd: &Containerd{Path: []string{"/sbin", "/bin"}}}
	}
	plain := &Host{Root: tree(t, map[string]string{"/usr/bin/" + shimBinary: "not executable"})}
	run(t, checkShim, []one{
		{"the real one", &Host{Containerd: &Containerd{Path: []string{"/nowhere", built}}}, []Level{OK}, []string{built}},
		{"none", &Host{Root: t.TempDir()}, []Level{Fail}, []string{"/usr/local/bin", "blazar install"}},
		{"not executable", plain, []Level{Fail}, nil},
		{"fails", script("exit 3\n"), []Level{Fail}, []string{"exit status 3"}},
		{"nonsense", script("echo nonsense\n"), []Level{Fail}, []string{"no RuntimeInfo"}},
		{"another's", script(`printf '\n\001x'` + "\n"), []Level{Fail}, []string{`shim of "x"`}},
	})
}

func TestWasmTask(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nimport \"C\"\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pure := filepath.Join(dir, "pure.go")
	if err := os.WriteFile(pure, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, checkWasmTask, []one{
		{"cgo", &Host{WasmTask: goBuild(t, "wasm-task", source, "1")}, []Level{OK}, nil},
		{"without cgo", &Host{WasmTask: goBuild(t, "wasm-task", pure, "0")}, []Level{Fail}, []string{"without cgo"}},
		{"no Go binary", &Host{WasmTask: "/bin/true"}, []Level{Fail}, nil},
		{"missing", &Host{WasmTask: "/nowhere/wasm-task"}, []Level{Fail}, []string{"blazar install"}},
	})
}

func TestEngines(t *testing.T) {
	some := fakeEngines{
		names:   []string{"wasmedge", "wazero"},
		engines: map[string]engines.Engine{"wazero": described{info: engines.Info{Name: "wazero", Version: "v1.12.0", Capabilities: map[string]string{"threads": "no"}}}},
	}
	run(t, checkEngines, []one{
		{"one of two", &Host{Engines: some}, []Level{Warn, OK}, []string{"library not found", "v1.12.0"}},
		{"none", &Host{Engines: fakeEngines{names: []string{"wasmedge"}}}, []Level{Warn, Fail}, []string{"none works"}},
	})
	if m := matrix(t.Context(), &Host{Engines: some}); len(m) != 1 || m[0].Name != "wazero" || m[0].Capabilities["threads"] != "no" {
		t.Errorf("matrix %+v", m)
	}
}

func TestCNI(t *testing.T) {
	const list = `{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge"},{"type":"portmap"}]}`
	with := func(files map[string]string) *Host { return &Host{Root: tree(t, files)} }
	run(t, checkCNI, []one{
		{"good", with(map[string]string{"/etc/cni/net.d/10-net.conflist": list, "/opt/cni/bin/bridge*": "", "/opt/cni/bin/portmap*": ""}), []Level{OK}, []string{"network net"}},
		{"first by name counts", with(map[string]string{"/etc/cni/net.d/05.conf": `{"name":"one","type":"loopback"}`, "/etc/cni/net.d/10.conflist": list, "/opt/cni/bin/loopback*": ""}), []Level{OK}, []string{"network one"}},
		{"plugin missing", with(map[string]string{"/etc/cni/net.d/10-net.conflist": list, "/opt/cni/bin/bridge*": ""}), []Level{Warn}, []string{"portmap", "containernetworking-plugins"}},
		{"none", with(nil), []Level{Warn}, []string{"host network"}},
		{"broken", with(map[string]string{"/etc/cni/net.d/10.conflist": "{"}), []Level{Warn}, []string{"mend the file"}},
		{"empty", with(map[string]string{"/etc/cni/net.d/10.conflist": "{}"}), []Level{Warn}, []string{"names no plugin"}},
	})
}

func TestRunc(t *testing.T) {
	served := map[string]string{"runc": "/run/blazar/runc.sock"}
	script := func(text string) *Host {
		return &Host{Sockets: served, Runc: "/bin/runc", Root: tree(t, map[string]string{"/bin/runc*": "#!/bin/sh\n" + text})}
	}
	run(t, checkRunc, []one{
		{"new", script("echo runc version 1.5.2; echo libseccomp: 2.5.4"), []Level{OK}, []string{"1.5.2"}},
		{"Debian's", script("echo runc version 1.1.5+ds1; echo libseccomp: 2.5.4"), []Level{OK}, []string{"1.1.5"}},
		{"old", script("echo runc version 1.0.3; echo libseccomp: 2.5.4"), []Level{Fail}, []string{"too old", "1.1"}},
		{"no seccomp", script("echo runc version 1.5.2"), []Level{Warn}, []string{"without seccomp"}},
		{"crun", script("echo crun version 1.20; echo +SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF"), []Level{OK}, []string{"crun version 1.20"}},
		{"another", script("echo youki 1"), []Level{Warn}, []string{"neither"}},
		{"fails", script("exit 3"), []Level{Fail}, []string{"exit status 3", "package runc"}},
		{"missing", &Host{Sockets: served, Runc: "there-is-no-runc"}, []Level{Fail}, []string{"PATH", "[runc] binary"}},
		{"not served", &Host{}, []Level{OK}, []string{"not needed"}},
	})
}

func TestReaper(t *testing.T) {
	served := map[string]string{"runc": "/run/blazar/runc.sock"}
	run(t, checkReaper, []one{
		{"there", &Host{Sockets: served, Reaper: "/x/pod-reaper", Root: tree(t, map[string]string{"/x/pod-reaper*": ""})}, []Level{OK}, nil},
		{"missing", &Host{Sockets: served, Reaper: "/nowhere/pod-reaper"}, []Level{Warn}, []string{"blazar install"}},
		{"not served", &Host{}, []Level{OK}, nil},
	})
}

package v2guest

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// suite is a test binary that is run in the machine.
type suite struct {
	name, pkg string
	tags      string
	args      string
}

// suites are run in this order. There is no systemd.
var suites = []suite{
	{"cgroup", "./internal/cgroup", "", "-test.skip '^TestScope$'"},
	{"pods", "./integration/v2guest/inside", "v2guest", ""},
}

// runScript is the machine's init process behind the initrd's.
const runScript = `#!/bin/busybox sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TMPDIR=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs run /run
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
ip link set lo up
hostname v2guest
ulimit -n 65536
exec >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 -onlcr
suite() {
	echo "@@begin $1"
	cd /blazar/$2
	shift 2
	"$@"
	echo "@@end $name $?"
}
%s
sync
poweroff -f
`

// tools are programs that containerd and its pods need.
var tools = []string{"containerd", "containerd-shim-runc-v2", "ctr", "crictl", "runc", "linux-pause", "linux-hello"}

// images are those that the tests run.
var images = []string{"leak.tar", "stubborn.tar", "linux-busybox.tar"}

// writeDisk makes the machine's disk, an ext4 whose files are collected in dir.
func writeDisk(ctx context.Context, disk, dir string) error {
	for _, d := range []string{"bin", "dev", "proc", "sys", "tmp", "run", "etc", "var/tmp", "var/lib", "root", "blazar/bin", "blazar/.cache/bin", "blazar/.cache/images", "usr/lib/cni"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	put := func(from, to string) error { return copyProgram(from, dir, to) }
	var errs []error
	programs, err := os.ReadDir(filepath.Join(root, "bin"))
	if err != nil {
		return fmt.Errorf("Blazar's programs: %w; make build builds them", err)
	}
	for _, e := range programs {
		errs = append(errs, put(filepath.Join(root, "bin", e.Name()), "blazar/bin/"+e.Name()))
	}
	for _, name := range tools {
		errs = append(errs, put(filepath.Join(root, ".cache", "bin", name), "blazar/.cache/bin/"+name))
	}
	for _, name := range images {
		errs = append(errs, copyFile(filepath.Join(root, ".cache", "images", name), filepath.Join(dir, "blazar/.cache/images", name), 0o644))
	}
	for _, name := range []string{"bridge", "host-local", "loopback"} {
		errs = append(errs, put(cni(name), "usr/lib/cni/"+name))
	}
	errs = append(errs, put(filepath.Join(kernelDir, "busybox"), "bin/busybox"), linkApplets(ctx, filepath.Join(dir, "bin")))
	var script strings.Builder
	for _, s := range suites {
		name := "blazar/" + s.name + ".test"
		errs = append(errs, build(ctx, s, filepath.Join(dir, name)), libraries(filepath.Join(dir, name), dir))
		where := strings.TrimPrefix(s.pkg, "./")
		errs = append(errs, os.MkdirAll(filepath.Join(dir, "blazar", where), 0o755))
		fmt.Fprintf(&script, "name=%s suite %s %s /%s -test.v -test.timeout 6m %s\n", s.name, s.name, where, name, s.args)
	}
	errs = append(errs,
		os.WriteFile(filepath.Join(dir, "init"), fmt.Appendf(nil, runScript, script.String()), 0o755),
		os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("root:x:0:0:root:/:/bin/sh\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "etc/hosts"), []byte("127.0.0.1 localhost\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "etc/resolv.conf"), nil, 0o644),
		os.WriteFile(filepath.Join(dir, "etc/hostname"), []byte("v2guest\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "etc/group"), []byte("root:x:0:\ntty:x:5:\n"), 0o644),
	)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	// Without a journal, which a machine that lives for minutes has no use for.
	out, err := exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1,root_owner=0:0", "-d", dir, disk, "1500M").CombinedOutput()
	if err != nil {
		return fmt.Errorf("mke2fs: %w: %s", err, out)
	}
	return os.RemoveAll(dir)
}

func build(ctx context.Context, s suite, to string) error {
	args := []string{"test", "-c", "-o", to, "-ldflags=-s -w"}
	if s.tags != "" {
		args = append(args, "-tags", s.tags)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, s.pkg)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the tests of %s: %w\n%s", s.pkg, err, out)
	}
	return nil
}

// linkApplets makes busybox's programs.
func linkApplets(ctx context.Context, dir string) error {
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "busybox"), "--list").Output()
	if err != nil {
		return fmt.Errorf("busybox: %w", err)
	}
	for name := range strings.FieldsSeq(string(out)) {
		if err := os.Symlink("busybox", filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// cni is where a plugin is: Debian's place, or that of its makers.
func cni(name string) string {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	return "/usr/lib/cni/" + name // the error says what is missing
}

// copyProgram copies a program below dir, with its loader and libraries.
func copyProgram(from, dir, to string) error {
	if err := copyFile(from, filepath.Join(dir, to), 0o755); err != nil {
		return err
	}
	return libraries(from, dir)
}

// libraries copies what the dynamic loader needs of the host for a program.
func libraries(program, dir string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	defer func() { _ = f.Close() }() // only read
	names, err := f.ImportedLibraries()
	if err != nil {
		return err
	}
	if p := f.Section(".interp"); p != nil {
		b, err := p.Data()
		if err != nil {
			return err
		}
		names = append(names, strings.TrimRight(string(b), "\x00"))
	}
	for _, name := range names {
		path := library(name)
		if path == "" {
			return fmt.Errorf("%s needs %s, which is nowhere", program, name)
		}
		to := filepath.Join(dir, path)
		if _, err := os.Stat(to); err == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := copyProgram(path, dir, path); err != nil {
			return err
		}
	}
	return nil
}

func library(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	for _, dir := range []string{"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	return ""
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

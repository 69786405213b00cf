package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"blazar/internal/testneeds"
)

// mountTmpfs mounts a tmpfs on dir, made if need be, until the test ends.
func mountTmpfs(t *testing.T, dir string) {
	t.Helper()
	testneeds.Root(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=64k"); err != nil {
		t.Fatalf("mount %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) })
}

// mounted lists the mount points below dir.
func mounted(t *testing.T, dir string) []string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return mountsBelow(table, dir)
}

// deleteContainer calls delete the way containerd does.
func deleteContainer(t *testing.T, id, bundle string) *task.DeleteResponse {
	t.Helper()
	dir := bundle
	if _, err := os.Stat(bundle); err != nil {
		dir = t.TempDir()
	}
	stdout, stderr, err := call(t, dir, nil, "-namespace", "k8s.io", "-address", "/run/containerd/containerd.sock",
		"-publish-binary", "/usr/bin/containerd", "-id", id, "-bundle", bundle, "-debug", "delete")
	if err != nil {
		t.Fatalf("delete: %v\n%s", err, stderr)
	}
	if stderr != "" {
		t.Errorf("containerd logs as a warning: %q", stderr)
	}
	var r task.DeleteResponse
	if err := proto.Unmarshal(stdout, &r); err != nil {
		t.Fatalf("decode answer: %v", err)
	}
	return &r
}

func TestDeleteUnmountsWhatIsBelowTheBundle(t *testing.T) {
	state := t.TempDir()
	bundle := filepath.Join(state, "c1")
	rootfs := filepath.Join(bundle, "rootfs")
	mountTmpfs(t, rootfs)
	mountTmpfs(t, rootfs) // one over the other
	mountTmpfs(t, filepath.Join(rootfs, "a b\tc\\d"))
	mountTmpfs(t, filepath.Join(rootfs, "a b\tc\\d", "deep"))
	busy, err := os.Create(filepath.Join(rootfs, "busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = busy.Close() }()
	// Another pod's: next to it, with the same beginning, and behind a link.
	others := []string{filepath.Join(state, "c1-not"), filepath.Join(state, "c10", "rootfs")}
	for _, o := range others {
		mountTmpfs(t, o)
	}
	if err := os.Symlink(others[1], filepath.Join(bundle, "work")); err != nil {
		t.Fatal(err)
	}
	if n := len(mounted(t, bundle)); n != 4 {
		t.Fatalf("%d mounts before, want 4: %q", n, mounted(t, bundle))
	}

	before := time.Now()
	r := deleteContainer(t, "c1", bundle)
	if left := mounted(t, bundle); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	rest := mounted(t, state)
	slices.Sort(rest)
	if !slices.Equal(rest, others) {
		t.Errorf("mounts of others: %q, want %q", rest, others)
	}
	if at := r.ExitedAt.AsTime(); r.ExitStatus != 137 || r.Pid != 0 || at.Before(before.Add(-time.Second)) || at.After(time.Now()) {
		t.Errorf("answer: %v", r)
	}
	// What containerd does next must work.
	if err := os.Remove(rootfs); err != nil {
		t.Error(err)
	}
	deleteContainer(t, "c1", bundle)
}

func TestDeleteFollowsNoLink(t *testing.T) {
	state := t.TempDir()
	other := filepath.Join(state, "other", "rootfs")
	mountTmpfs(t, other)
	if err := os.Symlink(filepath.Join(state, "other"), filepath.Join(state, "c1")); err != nil {
		t.Fatal(err)
	}
	_, stderr, err := call(t, state, nil, "-id", "c1", "-bundle", filepath.Join(state, "c1"), "delete")
	if err == nil || !strings.Contains(stderr, "no directory") {
		t.Errorf("a link for a bundle: %v, %q", err, stderr)
	}
	if len(mounted(t, state)) != 1 {
		t.Error("unmounted another container's root")
	}
}

func TestDeleteThroughALinkedStateDirectory(t *testing.T) {
	state := t.TempDir()
	link := filepath.Join(t.TempDir(), "run")
	if err := os.Symlink(state, link); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, filepath.Join(state, "c1", "rootfs"))
	deleteContainer(t, "c1", filepath.Join(link, "c1"))
	if left := mounted(t, state); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestDeleteInTheWorkingDirectory(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "c1")
	mountTmpfs(t, filepath.Join(bundle, "rootfs"))
	if _, stderr, err := call(t, bundle, nil, "-id", "c1", "delete"); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	if left := mounted(t, bundle); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestDeleteWithoutBundle(t *testing.T) {
	for _, bundle := range []string{filepath.Join(t.TempDir(), "c1"), "/nowhere/at/all/c1"} {
		if r := deleteContainer(t, "c1", bundle); r.ExitStatus != 137 {
			t.Errorf("%s: %v", bundle, r)
		}
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`/a`: "/a", `/a\040b`: "/a b", `\011\012\134`: "\t\n\\", `/a\04`: `/a\04`, `/a\`: `/a\`, `\9990`: `\9990`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

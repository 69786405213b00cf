package podfile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"blazar/internal/proc"
)

func pod() *Pod {
	return &Pod{
		ID: "pod", Pid: 7, Namespaces: Namespaces{Network: "/run/netns/x", IPC: Host, UTS: "/a/ns/uts", User: "/a/ns/user"},
		Mounts:        []Mount{{Destination: "/etc/hosts", Source: "/a/etc/hosts"}, {Destination: "/dev/shm", Source: "/a/shm", WritableAlways: true, Unmapped: true, Options: []string{"nosuid"}}},
		Cgroup:        Cgroup{Below: "/blazar/pod"},
		UserNamespace: true, Reaper: &proc.Ref{Pid: 7, StartTime: 8},
	}
}

func TestWriteAndLoad(t *testing.T) {
	state := t.TempDir()
	for _, kind := range Kinds {
		dir := Dir(state, kind, "pod")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := pod().Write(dir); err != nil {
			t.Fatal(err)
		}
		got, at, err := Load(state, "pod")
		want := pod()
		want.Version = Version
		if err != nil || at != dir || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v in %s, %v", kind, got, at, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Load(state, "pod"); !errdefs.IsNotFound(err) {
		t.Errorf("a pod without a file: %v", err)
	}
	for _, id := range []string{"", "../pod", "a/b"} {
		if _, _, err := Load(state, id); !errdefs.IsInvalidArgument(err) {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":          ``,
		"unknown field":    `{"version":1,"id":"pod","namespaces":{},"cgroup":{},"more":1}`,
		"something behind": `{"version":1,"id":"pod","namespaces":{},"cgroup":{}} {}`,
		"no id":            `{"version":1,"namespaces":{},"cgroup":{}}`,
		"relative path":    `{"version":1,"id":"pod","namespaces":{"ipc":"ns/ipc"},"cgroup":{}}`,
		"path that climbs": `{"version":1,"id":"pod","namespaces":{"ipc":"/a/../b"},"cgroup":{}}`,
		"half a mount":     `{"version":1,"id":"pod","namespaces":{},"mounts":[{"destination":"/x"}],"cgroup":{}}`,
		"users without":    `{"version":1,"id":"pod","namespaces":{},"cgroup":{},"user_namespace":true}`,
		"too long":         `{"version":1,"id":"` + strings.Repeat("a", maxFile) + `"}`,
	} {
		if p, err := Decode([]byte(text)); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if _, err := Decode([]byte(`{"version":2,"id":"pod","new":true}`)); !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "one release") {
		t.Errorf("another format: %v", err)
	}
	if _, err := Decode([]byte(`{"version":1,"id":"pod","namespaces":{"ipc":"host"},"cgroup":{}}`)); err != nil {
		t.Error(err)
	}
}

func TestForeignFile(t *testing.T) {
	state := t.TempDir()
	dir := Dir(state, Kinds[0], "other")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := pod().Write(dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(state, "other"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("the file of another pod: %v", err)
	}
}

func TestNotes(t *testing.T) {
	dir := t.TempDir()
	if all, err := Containers(dir); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	a, b := Container{ID: "a", CgroupsPath: "/x/a"}, Container{ID: "b", CgroupsPath: "s.slice:cri-containerd:b"}
	for _, c := range []Container{a, b, a} {
		if err := Note(dir, c); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := Containers(dir); err != nil || !reflect.DeepEqual(all, []Container{a, b}) {
		t.Errorf("%v, %v", all, err)
	}
	if !Noted(dir, "a") || Noted(dir, "c") || Noted(dir, "../a") {
		t.Error("noted is not what was noted")
	}
	// One that cannot be read does not hide the others.
	if err := os.WriteFile(filepath.Join(dir, Notes, "bad.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := Containers(dir); err == nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	for range 2 {
		if err := Forget(dir, "a"); err != nil {
			t.Error(err)
		}
	}
	if Noted(dir, "a") {
		t.Error("it is still noted")
	}
	if err := Note(dir, Container{ID: "../x"}); !errdefs.IsInvalidArgument(err) {
		t.Errorf("an id that climbs: %v", err)
	}
}

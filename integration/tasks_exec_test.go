package integration

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

func TestTaskExec(t *testing.T) {
	t.Parallel()
	forTaskKinds(t, func(t *testing.T, k taskKind, p *pod) {
		task := startTask(t, k, p, "forever")
		for _, test := range []struct {
			name string
			test func(t *testing.T, task containerd.Task)
		}{
			{"output", execOutput}, {"exit codes", execExitCodes}, {"clock", execClock},
			{"stdin", execStdin}, {"20 MiB through stdio", execLargeStdio}, {"stdin reattached", execReattach},
			{"fast exit", execFastExit}, {"no stdio", execNoIO}, {"no such command", execNotFound},
		} {
			t.Run(test.name, func(t *testing.T) { test.test(t, task) })
		}
		if s, err := task.Status(t.Context()); err != nil || s.Status != containerd.Running {
			t.Errorf("after all this the task is %v, %v", s, err)
		}
	})
}

func execOutput(t *testing.T, task containerd.Task) {
	exec, io := execIn(t, task, false, "echo", "execworks")
	if code := startAndWait(t, exec); code != 0 {
		t.Errorf("exit code %d", code)
	}
	remove(t, exec)
	if got := string(io.out.all(t)); got != "execworks\n" {
		t.Errorf("output %q", got)
	}
}

func execExitCodes(t *testing.T, task containerd.Task) {
	for _, code := range []int{0, 1, 2, 42, 127, 255} {
		exec, _ := execIn(t, task, false, "exit", strconv.Itoa(code))
		if got := startAndWait(t, exec); got != uint32(code) {
			t.Errorf("exit code %d, expected %d", got, code)
		}
		remove(t, exec)
	}
}

func execClock(t *testing.T, task containerd.Task) {
	before := time.Now().Unix()
	exec, io := execIn(t, task, false, "date")
	startAndWait(t, exec)
	remove(t, exec)
	got, err := strconv.ParseInt(strings.TrimSpace(string(io.out.all(t))), 10, 64)
	if err != nil || got < before || got > time.Now().Unix() {
		t.Errorf("it is %d there, %v", got, err)
	}
}

func execStdin(t *testing.T, task containerd.Task) {
	exec, io := execIn(t, task, true, "cat")
	exit := waiting(t, exec)
	if err := exec.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	in := io.input(t)
	if _, err := in.Write([]byte("a token\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token is back", func() bool { return string(io.out.Bytes()) == "a token\n" })
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := exec.CloseIO(t.Context(), containerd.WithStdinCloser); err != nil {
		t.Error(err)
	}
	if code := exitCode(t, exit); code != 0 {
		t.Errorf("exit code %d", code)
	}
	remove(t, exec)
}

func execLargeStdio(t *testing.T, task containerd.Task) {
	const size = 20 << 20
	exec, io := execIn(t, task, true, "cat")
	exit := waiting(t, exec)
	if err := exec.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	block := make([]byte, size)
	for i := range block {
		block[i] = byte(i)
	}
	in := io.input(t)
	if _, err := in.Write(block); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := exec.CloseIO(t.Context(), containerd.WithStdinCloser); err != nil {
		t.Error(err)
	}
	if code := exitCode(t, exit); code != 0 {
		t.Errorf("exit code %d", code)
	}
	remove(t, exec)
	intact(t, io.out.all(t), size)
}

// A client that goes away closes its end of stdin; the next one can go on. Only CloseIO
// is the end.
func execReattach(t *testing.T, task containerd.Task) {
	exec, io := execIn(t, task, true, "cat")
	exit := waiting(t, exec)
	if err := exec.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"first\n", "second\n"} {
		in := io.input(t)
		if _, err := in.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		eventually(t, line+" is back", func() bool { return bytes.HasSuffix(io.out.Bytes(), []byte(line)) })
		select {
		case s := <-exit:
			t.Fatalf("it ended with its client: %v", s)
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err := exec.CloseIO(t.Context(), containerd.WithStdinCloser); err != nil {
		t.Error(err)
	}
	if code := exitCode(t, exit); code != 0 {
		t.Errorf("exit code %d", code)
	}
	remove(t, exec)
	if got := string(io.out.all(t)); got != "first\nsecond\n" {
		t.Errorf("output %q", got)
	}
}

func execFastExit(t *testing.T, task containerd.Task) {
	exec, io := execIn(t, task, false, "burst", strconv.Itoa(burstSize), "0")
	if code := startAndWait(t, exec); code != 0 {
		t.Errorf("exit code %d", code)
	}
	remove(t, exec)
	intact(t, io.out.all(t), burstSize)
}

func execNoIO(t *testing.T, task containerd.Task) {
	exec := execProcess(t, task, noIO, execSpec(t, task, "echo", "nobody hears it"))
	if code := startAndWait(t, exec); code != 0 {
		t.Errorf("exit code %d", code)
	}
	remove(t, exec)
}

// It is said at the latest at the start that there is no such program, and what is left
// of it goes at once.
func execNotFound(t *testing.T, task containerd.Task) {
	process := execSpec(t, task)
	process.Args = []string{"/bin/this-program-does-not-exist"}
	exec, err := task.Exec(t.Context(), "missing", process, makeStdio(t, task.ID(), false).creator)
	if err == nil {
		err = exec.Start(t.Context())
		started := time.Now()
		remove(t, exec)
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("its removal took %s", took)
		}
	}
	if err == nil {
		t.Fatal("it started")
	}
	contains(t, err.Error(), "this-program-does-not-exist")
}

func remove(t *testing.T, p containerd.Process) {
	t.Helper()
	if _, err := p.Delete(t.Context()); err != nil {
		t.Error(err)
	}
}

// A file of the host is the same file in the container.
func TestTaskBindMount(t *testing.T) {
	t.Parallel()
	forTaskKinds(t, func(t *testing.T, k taskKind, p *pod) {
		const size = 64 << 20
		file := filepath.Join(t.TempDir(), "big")
		block := make([]byte, size)
		for i := range block {
			block[i] = byte(i)
		}
		if err := os.WriteFile(file, block, 0o644); err != nil {
			t.Fatal(err)
		}
		c := node.Container("hash", k.image)
		c.Args = []string{"hash", "/mnt/big"}
		c.Mounts = []*runtime.Mount{{HostPath: filepath.Dir(file), ContainerPath: "/mnt", Readonly: true}}
		made := p.start(t, c)
		made.exits(t, 0)
		contains(t, made.logs(t), strconv.FormatUint(uint64(tiled(size)), 16))
	})
}

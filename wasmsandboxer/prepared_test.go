package wasmsandboxer_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/testneeds"
	"blazar/internal/thread"
	"blazar/sandbox"
	"blazar/wasmsandboxer"
)

// pool is a node with prepared wasm-tasks.
type pool struct {
	*testing.T
	s      *wasmsandboxer.Sandboxer
	root   string
	parent string
}

func newPool(t *testing.T, size int, change ...func(*wasmsandboxer.Config)) *pool {
	testneeds.Root(t)
	p := &pool{T: t, parent: fmt.Sprintf("/blazar-test-%d-%d", os.Getpid(), cases.Add(1))}
	root, err := os.MkdirTemp("/tmp", "wk")
	if err != nil {
		t.Fatal(err)
	}
	p.root = root
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	s, closeKind := newSandboxer(t, &records{}, filepath.Join(root, "k"), filepath.Join(root, "state"), size, change...)
	p.s = s
	s.Recovered(t.Context())
	t.Cleanup(func() {
		closeKind()
		for _, l := range leaks(root, p.parent) {
			t.Error("left behind: " + l)
		}
		left, err := filepath.Glob(filepath.Join(root, "k", "*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		for _, dir := range cgroups(p.parent) {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

func (p *pool) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// full waits until so many tasks are idle.
func (p *pool) full(n int) []int {
	p.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if pids := p.s.Idle(); len(pids) == n {
			return pids
		}
	}
	p.Fatalf("%d tasks are idle, never %d", len(p.s.Idle()), n)
	return nil
}

// started is a pod that runs.
type started struct {
	sandbox.Sandbox
	*sandbox.Started
	id string
}

func (p *pool) create(id string, annotations map[string]string) (sandbox.Sandbox, error) {
	dir := filepath.Join(p.root, "s", id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	all := map[string]string{}
	maps.Copy(all, annotations)
	return p.s.Create(p.Context(), &sandbox.Request{
		ID: id, Namespace: "k8s.io", Dir: dir, Annotations: all, NetNS: "/proc/self/ns/net",
		Config: &cri.PodSandboxConfig{
			Metadata: &cri.PodSandboxMetadata{Name: id, Namespace: "default", Uid: id}, Hostname: "host-" + id,
			Linux: &cri.LinuxPodSandboxConfig{
				CgroupParent: p.parent, Resources: &cri.LinuxContainerResources{MemoryLimitInBytes: 64 << 20, CpuShares: 512},
			},
		},
		Save: func(context.Context, any) error { return nil },
	})
}

func (p *pool) start(id string) *started {
	p.Helper()
	sb, err := p.create(id, nil)
	p.must(err)
	st, err := sb.Start(p.Context())
	p.must(err)
	p.Cleanup(func() { p.must(sb.Delete(context.WithoutCancel(p.Context()))) })
	return &started{sb, st, id}
}

// how says how the pod was started.
func (s *started) how(t *testing.T) string {
	t.Helper()
	how, ok := s.Sandbox.(sandbox.Describer).Describe(t.Context())["start"].(string)
	if !ok {
		t.Fatal("the verbose status does not say how the pod was started")
	}
	return how
}

// answers asks the pod's Task API for something.
func (s *started) answers() error {
	c, err := net.Dial("unix", strings.TrimPrefix(s.Address, "ttrpc+unix://"))
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(c)
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(context.Background(), "k8s.io"), 30*time.Second)
	defer cancel()
	r, err := task.NewTTRPCTaskClient(client).Connect(ctx, &task.ConnectRequest{ID: "none"})
	if err == nil && r.GetShimPid() != s.Pid {
		err = fmt.Errorf("the Task API is that of process %d, not %d", r.GetShimPid(), s.Pid)
	}
	if cerr := client.Close(); err == nil {
		err = cerr
	}
	return err
}

// TestNeverTwoPods starts many pods at once from a small pool.
func TestNeverTwoPods(t *testing.T) {
	const size, many = 4, 50
	p := newPool(t, size)
	idle := p.full(size)
	pods := make([]*started, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			sb, err := p.create(fmt.Sprintf("p%d", i), nil)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { // also when something failed; once more does no harm
				if err := sb.Delete(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			})
			st, err := sb.Start(t.Context())
			if err != nil {
				t.Error(err)
			} else {
				pods[i] = &started{sb, st, fmt.Sprintf("p%d", i)}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	pids, uids, addresses := map[uint32]bool{}, map[string]bool{}, map[string]bool{}
	prepared := 0
	for _, s := range pods {
		p.must(s.answers())
		pids[s.Pid], uids[field(t, s.Pid, "Uid")], addresses[s.Address] = true, true, true
		if s.how(t) == "prepared" {
			prepared++
		}
	}
	if len(pids) != many || len(uids) != many || len(addresses) != many {
		t.Errorf("%d pods have %d processes, %d users, %d addresses", many, len(pids), len(uids), len(addresses))
	}
	for _, pid := range idle {
		if !pids[uint32(pid)] {
			t.Errorf("prepared process %d is no pod's", pid)
		}
	}
	if prepared < size {
		t.Errorf("%d pods were started from %d prepared tasks", prepared, size)
	}
	for _, s := range pods {
		wg.Go(func() {
			if err := s.Delete(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	p.full(size)
}

// TestPreparedPod looks at a pod that was prepared: it is where the pod should be.
func TestPreparedPod(t *testing.T) {
	p := newPool(t, 1)
	pid := p.full(1)[0]
	netns, uid := readlink(t, pid, "ns/net"), field(t, uint32(pid), "Uid")
	s := p.start("one")
	if how := s.how(t); how != "prepared" || int(s.Pid) != pid {
		t.Fatalf("started %s, process %d, prepared was %d", how, s.Pid, pid)
	}
	p.must(s.answers())
	if got := field(t, s.Pid, "Uid"); got != uid {
		t.Errorf("uids %s, before %s", got, uid)
	}
	if readlink(t, pid, "ns/net") != netns || netns == readlink(t, "self", "ns/net") {
		t.Error("it is in a network namespace that has something in it")
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		if caps := field(t, s.Pid, set); strings.Trim(caps, "0") != "" {
			t.Errorf("%s is %s", set, caps)
		}
	}
	if got := field(t, s.Pid, "NoNewPrivs") + field(t, s.Pid, "Seccomp"); got != "12" {
		t.Errorf("NoNewPrivs and Seccomp are %s", got)
	}
	p.inCgroup(s)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		got := hostname(t, pid)
		if got == "host-one" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("its host name is %q", got)
		}
	}
}

// TestMovedFromOutside has the daemon move a prepared task, as on cgroup v2, while others
// start too.
func TestMovedFromOutside(t *testing.T) {
	p := newPool(t, 3)
	p.s.MoveFromOutside()
	p.full(3)
	var pods []*started
	for i := range 3 {
		pods = append(pods, p.start(fmt.Sprintf("p%d", i)))
	}
	for _, s := range pods {
		p.must(s.answers())
		if how := s.how(t); how != "prepared" {
			t.Errorf("pod %s was started %s", s.id, how)
		}
		m, err := s.Sandbox.(sandbox.Meter).Metrics(t.Context()) // waits until it is there
		p.must(err)
		if in := p.outside(int(s.Pid), p.parent+"/"+s.id); m == nil || len(in) > 0 {
			t.Errorf("metrics %v of a pod that is in %q", m, in)
		}
		p.inCgroup(s)
	}
}

// inCgroup sees that all threads of a pod, and nothing else of it, are in its cgroups,
// which have its limits.
func (p *pool) inCgroup(s *started) {
	p.Helper()
	want := p.parent + "/" + s.id
	var outside []string
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if outside = p.outside(int(s.Pid), want); len(outside) == 0 {
			break
		}
		if time.Now().After(deadline) {
			p.Fatalf("threads are not in cgroup %s but in %q", want, outside)
		}
	}
	for _, dir := range cgroups(want) {
		for file, value := range map[string]string{"cpu.shares": "512", "memory.limit_in_bytes": strconv.Itoa(64<<20 + wasmsandboxer.DefaultMemoryOverhead)} {
			b, err := os.ReadFile(filepath.Join(dir, file))
			if err == nil && strings.TrimSpace(string(b)) != value {
				p.Errorf("%s of %s is %s, want %s", file, dir, b, value)
			}
		}
	}
}

// outside are the lines of /proc/PID/task/TID/cgroup that name another cgroup.
func (p *pool) outside(pid int, want string) (lines []string) {
	p.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/cgroup", pid))
	if err != nil || len(tasks) < 2 {
		p.Fatalf("threads %v, %v", tasks, err)
	}
	for _, file := range tasks {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has just ended
		}
		for line := range strings.Lines(string(b)) {
			f := strings.SplitN(strings.TrimSpace(line), ":", 3)
			// Others may have mounted further hierarchies elsewhere.
			_, err := os.Stat(filepath.Join("/sys/fs/cgroup", strings.TrimPrefix(f[1], "name="), want))
			if f[2] != want && err == nil {
				lines = append(lines, file+" "+line)
			}
		}
	}
	return lines
}

// TestUpgrade replaces the program: what was prepared of the old one is not used.
func TestUpgrade(t *testing.T) {
	program := filepath.Join(t.TempDir(), "wasm-task")
	copyFile(t, built.task, program)
	p := newPool(t, 2, func(c *wasmsandboxer.Config) { c.Binary = program })
	old := p.full(2)
	copyFile(t, built.task, program+".new")
	p.must(os.Rename(program+".new", program))
	s := p.start("after")
	if slices.Contains(old, int(s.Pid)) || !strings.HasPrefix(s.how(t), "cold: ") {
		t.Errorf("process %d, started %s; of the old program are %v", s.Pid, s.how(t), old)
	}
	for _, pid := range p.full(2) {
		if exe := readlink(t, pid, "exe"); slices.Contains(old, pid) || exe != program {
			t.Errorf("process %d of %s", pid, exe)
		}
	}
	ended(t, old...)
}

// TestPreparedTaskDies kills prepared tasks in the pool, and between Create and Start.
func TestPreparedTaskDies(t *testing.T) {
	p := newPool(t, 1)
	pid := p.full(1)[0]
	sb, err := p.create("one", nil)
	p.must(err)
	p.must(syscall.Kill(pid, syscall.SIGKILL))
	ended(t, pid)
	t.Cleanup(func() { p.must(sb.Delete(context.WithoutCancel(t.Context()))) })
	st, err := sb.Start(t.Context())
	p.must(err)
	s := &started{sb, st, "one"}
	p.must(s.answers())
	if how := s.how(t); !strings.HasPrefix(how, "cold: the prepared one could not be used") || int(s.Pid) == pid {
		t.Errorf("started %s, process %d", how, s.Pid)
	}
	if ns := readlink(t, int(s.Pid), "ns/net"); ns != readlink(t, "self", "ns/net") {
		t.Error("it is not in the pod's network namespace")
	}
	p.inCgroup(s)
	p.must(sb.Delete(t.Context()))

	pid = p.full(1)[0]
	p.must(syscall.Kill(pid, syscall.SIGKILL))
	p.full(0)
	s = p.start("two")
	p.must(s.answers())
	if how := s.how(t); !strings.HasPrefix(how, "cold: ") {
		t.Errorf("started %s", how)
	}
}

// TestNotPrepared has pods that cannot use what is prepared, and one that ends before it
// was started.
func TestNotPrepared(t *testing.T) {
	p := newPool(t, 1)
	idle := p.full(1)
	sb, err := p.create("forbidden", map[string]string{"blazar/prepared": "false"})
	p.must(err)
	st, err := sb.Start(t.Context())
	p.must(err)
	s := &started{sb, st, "forbidden"}
	if how := s.how(t); !strings.Contains(how, "blazar/prepared") || slices.Contains(idle, int(s.Pid)) {
		t.Errorf("started %s", how)
	}
	p.must(sb.Delete(t.Context()))
	if !slices.Equal(p.full(1), idle) {
		t.Error("another task was taken")
	}
	if _, err := p.create("misspelled", map[string]string{"blazar/prepared": "no"}); !errdefs.IsInvalidArgument(err) || !strings.Contains(err.Error(), "blazar/prepared") {
		t.Errorf("created, or refused without a reason: %v", err)
	}
	sb, err = p.create("unstarted", nil)
	p.must(err)
	p.must(sb.Delete(t.Context()))
	ended(t, idle...)
}

// field is a line of /proc/PID/status.
func field(t *testing.T, pid uint32, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	t.Fatalf("no %s in the status of process %d", name, pid)
	return ""
}

func readlink(t *testing.T, pid any, name string) string {
	t.Helper()
	s, err := os.Readlink(fmt.Sprintf("/proc/%v/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hostname is that of a process's uts namespace.
func hostname(t *testing.T, pid int) (name string) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	thread.Throwaway(func() {
		if err = unix.Setns(fd, unix.CLONE_NEWUTS); err == nil {
			name, err = os.Hostname()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// ended waits until there are no such processes any more.
func ended(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if err := syscall.Kill(pid, 0); err == syscall.ESRCH {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("process %d does not end", pid)
			}
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// The guest of the rehearsal is gone when the task waits: a pod's root holds nothing but
// what is the pod's.
func TestRehearsalLeavesNothing(t *testing.T) {
	p := newPool(t, 2)
	p.full(2)
	left, err := filepath.Glob(filepath.Join(p.root, "k", "prepared", "*", "root", "a"))
	if err != nil || len(left) != 2 {
		t.Fatalf("roots of two tasks: %v, %v", left, err)
	}
	for _, dir := range left {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 0 {
			t.Errorf("%s holds %v, %v", dir, entries, err)
		}
	}
}

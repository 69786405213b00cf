package confine

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	eperm  = retErrno | uint32(unix.EPERM)
	enosys = retErrno | uint32(unix.ENOSYS)
)

// TestFilter runs the program in x/net/bpf's machine, also with what a test cannot
// do for real: calls of other architectures, and flags that would fork.
func TestFilter(t *testing.T) {
	vm := machine(t, 1)
	const otherArch = unix.AUDIT_ARCH_I386
	for _, tc := range []struct {
		name string
		arch uint32
		nr   uint32
		args []uint64
		want uint32
	}{
		{"read", auditArch, unix.SYS_READ, nil, retAllow},
		{"read of another architecture", otherArch, unix.SYS_READ, nil, retKillProcess},
		{"read of x32", auditArch, unix.SYS_READ | 0x40000000, nil, enosys},
		{"negative number", auditArch, 0xffffffff, nil, enosys},
		{"a number behind all", auditArch, 4000, nil, eperm},
		{"thread", auditArch, unix.SYS_CLONE, []uint64{unix.CLONE_THREAD | unix.CLONE_VM | unix.CLONE_SIGHAND}, retAllow},
		{"thread of Go", auditArch, unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD}, retAllow},
		{"fork", auditArch, unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, eperm},
		{"thread in a new namespace", auditArch, unix.SYS_CLONE, []uint64{unix.CLONE_THREAD | unix.CLONE_NEWUSER}, eperm},
		{"signal to itself", auditArch, unix.SYS_TGKILL, []uint64{1, 9, 23}, retAllow},
		{"signal to pid 2", auditArch, unix.SYS_TGKILL, []uint64{2, 9, 23}, eperm},
		{"signal to all", auditArch, unix.SYS_TGKILL, []uint64{1<<64 - 1, 9, 23}, eperm},
		{"own limits", auditArch, unix.SYS_PRLIMIT64, []uint64{0}, retAllow},
		{"limits of pid 1", auditArch, unix.SYS_PRLIMIT64, []uint64{1}, eperm},
		{"size of a terminal", auditArch, unix.SYS_IOCTL, []uint64{0, unix.TIOCGWINSZ}, retAllow},
		{"typing into a terminal", auditArch, unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI}, eperm},
		{"typing, number in the upper half too", auditArch, unix.SYS_IOCTL, []uint64{0, 1<<32 | unix.TIOCSTI}, eperm},
		{"no delay", auditArch, unix.SYS_SETSOCKOPT, []uint64{3, unix.IPPROTO_TCP, unix.TCP_NODELAY}, retAllow},
		{"keepalive", auditArch, unix.SYS_SETSOCKOPT, []uint64{3, unix.SOL_SOCKET, unix.SO_KEEPALIVE}, retAllow},
		{"hop limit", auditArch, unix.SYS_GETSOCKOPT, []uint64{3, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS}, retAllow},
		{"program on a socket", auditArch, unix.SYS_SETSOCKOPT, []uint64{3, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER}, eperm},
		{"keepalive's number of another level", auditArch, unix.SYS_SETSOCKOPT, []uint64{3, unix.IPPROTO_IP, unix.SO_KEEPALIVE}, eperm},
		{"no delay's number of level netfilter", auditArch, unix.SYS_SETSOCKOPT, []uint64{3, 255, unix.TCP_NODELAY}, eperm},
		{"socket", auditArch, unix.SYS_SOCKET, []uint64{unix.AF_INET}, eperm},
		// The argument is the number of a call that is allowed: it must not be taken for
		// one (a filter that does not load the number again would).
		{"ioctl number of read", auditArch, unix.SYS_IOCTL, []uint64{0, unix.SYS_READ}, eperm},
		{"clone3", auditArch, unix.SYS_CLONE3, nil, enosys},
		{"splice", auditArch, unix.SYS_SPLICE, nil, retErrno | uint32(unix.EINVAL)},
	} {
		if got := run(t, vm, tc.arch, tc.nr, tc.args...); got != tc.want {
			t.Errorf("%s: %#x, want %#x", tc.name, got, tc.want)
		}
	}
}

// TestFilterOfEveryNumber compares the program with its lists, number by number.
func TestFilterOfEveryNumber(t *testing.T) {
	vm := machine(t, 77)
	allowed := append(slices.Clone(plain), archPlain...)
	for nr := range uint32(1024) {
		// Arguments that satisfy no condition.
		got := run(t, vm, auditArch, nr, 1<<31, 1<<31, 1<<31)
		want := eperm
		if slices.Contains(allowed, nr) {
			want = retAllow
		} else if errno, ok := fallbacks[nr]; ok {
			want = retErrno | uint32(errno)
		}
		if got != want {
			t.Errorf("system call %d: %#x, want %#x", nr, got, want)
		}
	}
	if got := run(t, vm, auditArch, unix.SYS_TGKILL, 77); got != retAllow {
		t.Errorf("signal to the pid that was given: %#x", got)
	}
	for _, r := range conditional(1) {
		if _, ok := fallbacks[r.nr]; ok || slices.Contains(allowed, r.nr) {
			t.Errorf("system call %d is in two lists", r.nr)
		}
	}
}

func machine(t *testing.T, pid uint32) *bpf.VM {
	t.Helper()
	if _, err := Filter(FilterOptions{OwnPid: pid}); errdefs.IsNotImplemented(err) {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(assemble(slices.Concat(plain, archPlain), conditional(pid), fallbacks))
	check(t, err)
	return vm
}

// run gives the machine a struct seccomp_data. It loads words in network order
// where the kernel loads them in its own.
func run(t *testing.T, vm *bpf.VM, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	b := make([]byte, 64)
	binary.BigEndian.PutUint32(b[offsetNr:], nr)
	binary.BigEndian.PutUint32(b[offsetArch:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(b[offsetArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(b[offsetArgs+8*i+4:], uint32(a>>32))
	}
	n, err := vm.Run(b)
	check(t, err)
	return uint32(n)
}

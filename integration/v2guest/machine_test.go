package v2guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// machine is a virtual machine that runs once.
type machine struct {
	dir, initrd, disk string
}

// Memory in MiB, and processors.
const (
	guestMemory = "1536"
	guestCPUs   = "2"
)

// run boots the machine, waits until it has switched itself off and returns what its
// tests said.
func (m *machine) run(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	tests := filepath.Join(m.dir, "tests")
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		// Emulated always: a /dev/kvm that opens need not work.
		"-M", "q35,accel=tcg", "-cpu", "max", "-smp", guestCPUs, "-m", guestMemory,
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(kernelDir, "vmlinuz"), "-initrd", m.initrd,
		"-append", "console=ttyS0 quiet loglevel=4 panic=-1 reboot=t nokaslr mitigations=off no_timer_check "+
			"cryptomgr.notests audit=0 random.trust_cpu=on cgroup_no_v1=all "+
			fmt.Sprintf("tsc=reliable tsc_early_khz=%d", tscKHz()),
		"-drive", "file="+m.disk+",format=raw,if=virtio,cache=unsafe",
		"-serial", "file:"+m.consoleFile(), "-serial", "file:"+tests,
	)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("it did not end within %s: %w", bootLimit, context.Cause(ctx))
	}
	if len(out) > 0 {
		err = errors.Join(err, fmt.Errorf("qemu said: %s", out))
	}
	b, rerr := os.ReadFile(tests)
	return string(b), errors.Join(err, rerr)
}

func (m *machine) consoleFile() string { return filepath.Join(m.dir, "console") }

// console is what the kernel and the init process said.
func (m *machine) console() string { return read(m.consoleFile()) }

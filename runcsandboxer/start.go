package runcsandboxer

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/errdefs"

	"blazar/internal/etcfiles"
	"blazar/internal/mnt"
	"blazar/runcsandboxer/podfile"
	"blazar/sandbox"
)

// shmSize is what containerd gives pods, in bytes.
const shmSize = 64 << 20

// Start makes all that the pod's containers share and tells the task server of it.
func (p *pod) Start(ctx context.Context) (*sandbox.Started, error) {
	if p.record.Started || p.exit != nil {
		return nil, fmt.Errorf("runc pod was started already: %w", errdefs.ErrFailedPrecondition)
	}
	started := time.Now()
	if t := p.s.config.Tasks; t != nil {
		if err := t.Ready(ctx); err != nil {
			return nil, cmp.Or(ctx.Err(), err)
		}
	}
	// What is made below has names that Delete knows: from now on the record says so.
	if err := p.r.Save(ctx, p.record); err != nil {
		return nil, err
	}
	if err := p.makeFiles(); err != nil {
		return nil, err
	}
	if err := p.makeGroup(ctx); err != nil {
		return nil, err
	}
	if err := p.makeNamespaces(ctx); err != nil {
		return nil, err
	}
	file := p.file()
	if err := file.Write(p.r.Dir); err != nil {
		return nil, fmt.Errorf("what the task server is told: %w", err)
	}
	p.mu.Lock()
	p.record.Started = true
	rec := p.record
	p.mu.Unlock()
	if err := p.r.Save(ctx, rec); err != nil {
		return nil, err
	}
	return &sandbox.Started{Pid: file.Pid, Address: "ttrpc+unix://" + p.s.config.TaskSocket, CreatedAt: started}, nil
}

// makeFiles writes the files and mounts the memory that the containers share.
func (p *pod) makeFiles() error {
	etc := p.path(etcName)
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return err
	}
	err := etcfiles.Write(etc, etcfiles.Options{
		Hostname: p.plan.hostname, HostNetwork: p.plan.hostNet, DNS: p.r.Config.GetDnsConfig(),
	})
	if err != nil || p.plan.hostIPC {
		return err
	}
	shm := p.path(shmName)
	if err := os.MkdirAll(shm, 0o700); err != nil {
		return err
	}
	d, err := mnt.Tmpfs(mnt.TmpfsOptions{Size: shmSize, Mode: 0o1777}, mnt.Attr{NoSUID: true, NoDev: true, NoExec: true})
	if err != nil {
		return fmt.Errorf("shared memory of the pod: %w", err)
	}
	defer func() { _ = d.Close() }() // attached, or not wanted
	if err := d.AttachAt(shm); err != nil {
		return fmt.Errorf("shared memory of the pod: %w", err)
	}
	return nil
}

// file is what the task server is told.
func (p *pod) file() *podfile.Pod {
	f := &podfile.Pod{
		ID: p.r.ID, Reaper: p.record.Reaper, UserNamespace: p.plan.user != nil, Cgroup: p.containers(),
		Namespaces: podfile.Namespaces{Network: p.r.NetNS, IPC: p.pin(ipcName), UTS: p.pin(utsName)},
	}
	if p.plan.hostNet {
		f.Namespaces.Network, f.Namespaces.UTS = podfile.Host, podfile.Host
	}
	switch {
	case p.plan.hostPID:
		f.Namespaces.PID = podfile.Host
	case p.plan.sharePID:
		f.Namespaces.PID, f.Pid = p.pin(pidName), uint32(p.record.Reaper.Pid)
	}
	if p.of != nil {
		f.Pid = uint32(p.of.Process.Ref().Pid) // what containerd was told
	}
	if p.plan.user != nil {
		f.Namespaces.User = p.pin(userName)
	}
	shm := p.path(shmName)
	if p.plan.hostIPC {
		f.Namespaces.IPC, shm = podfile.Host, "/dev/shm"
	}
	for _, name := range etcfiles.Names {
		f.Mounts = append(f.Mounts, podfile.Mount{Destination: "/etc/" + name, Source: filepath.Join(p.path(etcName), name)})
	}
	// Nobody's files are in it yet, and tmpfs has mappings since Linux 6.3 only.
	f.Mounts = append(f.Mounts, podfile.Mount{
		Destination: "/dev/shm", Source: shm, WritableAlways: true, Unmapped: true, Options: []string{"nosuid", "nodev", "noexec"},
	})
	return f
}

package runcsandboxer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"blazar/internal/cgroup"
)

// makeWithProcess makes the namespaces by way of pod-reaper: a user namespace can be
// entered by a process with one thread alone, and a pid namespace needs a process.
func (p *pod) makeWithProcess(ctx context.Context, net *os.File) (err error) {
	steps := ""
	var user *os.File
	if p.plan.user != nil {
		if user, err = p.plan.openUser(net); err != nil {
			return err
		}
		defer func() { _ = user.Close() }() // only named to the kernel
		steps += "u"
	}
	if net != nil {
		steps += "n"
	}
	if !p.plan.hostIPC {
		steps += "i"
	}
	if !p.plan.hostNet {
		steps += "h"
	}
	if p.plan.sharePID {
		steps += "p"
	}
	g, err := p.reaperGroup(ctx)
	if err != nil {
		return err
	}
	h, err := startHelper(ctx, p.s.config.Reaper, steps, user, net, g)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.abandon())
		}
	}()
	if h.reaper != nil {
		if err := p.keepReaper(ctx, h, g); err != nil {
			return err
		}
	}
	if err := p.pinAll(h.dir()); err != nil {
		return err
	}
	if err := p.configurePinned(net); err != nil {
		return err
	}
	if err := h.release(); err != nil {
		return fmt.Errorf("pod-reaper: %w", err)
	}
	if h.reaper != nil {
		p.adopt(h.reaper)
	}
	return nil
}

// keepReaper records the reaper, which until then ends with the daemon, and has the
// kernel spare it when memory runs out, as kubelets ask for their pause containers.
func (p *pod) keepReaper(ctx context.Context, h *helper, g *cgroup.Group) error {
	const spare = -998
	ref := h.reaper.Ref()
	err := os.WriteFile(h.dir()+"/oom_score_adj", strconv.AppendInt(nil, spare, 10), 0)
	if err != nil && !errors.Is(err, os.ErrPermission) { // no CAP_SYS_RESOURCE
		return err
	}
	if g != nil {
		if err := g.Adopt(ref.Pid); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.record.Reaper = &ref
	rec := p.record
	p.mu.Unlock()
	return p.r.Save(ctx, rec)
}

// configurePinned is plan.configure in the pinned namespaces.
func (p *pod) configurePinned(net *os.File) error {
	return onThread(func() error {
		for name, kind := range map[string]int{ipcName: unix.CLONE_NEWIPC, utsName: unix.CLONE_NEWUTS} {
			if p.plan.own()&kind == 0 {
				continue
			}
			f, err := os.Open(p.pin(name))
			if err != nil {
				return err
			}
			err = setns(f, kind)
			_ = f.Close() // only named to the kernel
			if err != nil {
				return err
			}
		}
		return p.plan.configure(net)
	})
}

// borrowNamespaces pins the namespaces of another kind's pod, and makes one of pids if
// its Linux containers share one.
func (p *pod) borrowNamespaces(ctx context.Context, net *os.File) (err error) {
	if err := p.pinSome(p.of.processDir(), ipcName, utsName); err != nil {
		return err
	}
	if err := p.of.alive(); err != nil {
		return err
	}
	if err := p.configurePinned(net); err != nil || !p.plan.sharePID {
		return err
	}
	g, err := p.reaperGroup(ctx)
	if err != nil {
		return err
	}
	h, err := startHelper(ctx, p.s.config.Reaper, "p", nil, nil, g)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.abandon())
		}
	}()
	if g != nil && g.State().Scope != "" {
		if err := g.Add(ctx, h.reaper.Ref().Pid); err != nil {
			return err
		}
	}
	if err := p.keepReaper(ctx, h, nil); err != nil {
		return err
	}
	if err := p.pinSome(h.dir(), pidName); err != nil {
		return err
	}
	if err := h.release(); err != nil {
		return fmt.Errorf("pod-reaper: %w", err)
	}
	p.adopt(h.reaper)
	return nil
}

package host

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"blazar/internal/netns"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/hostapi"
)

// prepare makes a container's files appear in the pod and finds its module. Asked
// again for the same container it starts over.
func (s *Service) prepare(ctx context.Context, q *hostapi.PrepareRequest) (_ any, _ []*os.File, err error) {
	ctx = log.WithLogger(ctx, log.G(ctx).WithField("container_id", q.Container))
	c, leave, err := s.enter(ctx, q.Container)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	rec, err := s.lookup(ctx, q.Container)
	if err != nil {
		s.drop(q.Container, c)
		return nil, nil, err
	}
	fresh := c.record == nil && unix.Access(s.containerDir(q.Container), unix.F_OK) != nil
	if !fresh { // an earlier try
		if err := s.clear(ctx, q.Container, c); err != nil {
			return nil, nil, err
		}
	} else if err := s.removeWorker(ctx, q.Container); err != nil {
		return nil, nil, err
	}
	b := &bundle{}
	defer func() {
		if err != nil {
			b.close()
			if cerr := s.clear(ctx, q.Container, c); cerr != nil {
				log.G(ctx).WithError(cerr).Warn("what a container had that failed stays until the pod is removed")
			}
			s.drop(q.Container, c)
		}
	}()
	isolated, why, err := s.choices(rec).Isolation()
	if err != nil {
		return nil, nil, err
	}
	if isolated && s.pod.Container == "" {
		if refusal := s.sniff(ctx, rec); refusal != nil {
			reply, err := s.startLinux(ctx, c, b, rec, q, refusal)
			if err != nil {
				return nil, nil, err
			}
			return reply, b.files, nil
		}
		reply, err := s.startWorker(ctx, b, rec, why)
		if err != nil {
			return nil, nil, err
		}
		c.record = rec
		return reply, b.files, nil
	}
	files, module, err := s.furnish(ctx, c, rec, q.Later)
	if refusal := s.linuxRefusal(ctx, rec, err); refusal != nil {
		reply, err := s.startLinux(ctx, c, b, rec, q, refusal)
		if err != nil {
			return nil, nil, err
		}
		return reply, b.files, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer files.close()
	p := rec.Spec.Process
	if err := s.listen(b, rec); err != nil {
		return nil, nil, err
	}
	// Last of what can fail: containerd asks a second time after a refusal, when
	// nobody reads the output any more.
	if err := s.openStdio(ctx, b, q.Container, q.Stdio); err != nil {
		return nil, nil, err
	}
	if files.message != nil {
		b.add(hostapi.RoleMessage, files.message)
		files.message = nil
	}
	cpu, ok, err := s.limitCPU(b, rec, fresh)
	if err != nil {
		return nil, nil, err
	}
	c.unlimited = fresh && !some(cpuLimits(rec))
	notes := files.notes
	if !ok {
		notes = append(notes, cpu)
	}
	c.record, c.layers = rec, files.layers
	if err := s.note(q.Container, func(e *Entry) {
		*e = Entry{Module: module.Module, Cached: module.cached, FirstTier: module.firstTier, CPU: cpu, Worker: e.Worker}
	}); err != nil {
		return nil, nil, err
	}
	return &hostapi.PrepareReply{
		Roles: b.roles, Module: module.Module, Args: p.Args, Env: environment(p.Env, p.Cwd),
		Rootfs: rootfsInTask(q.Container), Preopens: files.preopens, Later: files.root == nil,
		MemoryLimit: memoryLimit(rec), Notes: notes,
	}, b.files, nil
}

// furnish makes the container's files, or puts that off if it may, and finds its
// module.
func (s *Service) furnish(ctx context.Context, c *container, rec *Container, later bool) (f *files, m *module, err error) {
	plan, image, err := s.look(ctx, rec)
	if err != nil {
		return nil, nil, err
	}
	p := rec.Spec.Process
	search, err := s.search(ctx, rec, image, wanted{command: p.Args[0], cwd: p.Cwd, env: p.Env})
	if err != nil {
		return nil, nil, err
	}
	root, same := plan.key()
	defer func() {
		if c.later == nil {
			plan.close()
		}
	}()
	if later && same {
		f, m, err := s.furnishLater(plan, root, search)
		if f != nil {
			c.later = plan
		}
		if f != nil || err != nil {
			return f, m, err
		}
	}
	if f, err = s.mountFiles(plan); err != nil {
		return nil, nil, err
	}
	if m, err = s.findModule(ctx, rec, f, search); err != nil {
		f.close()
		return nil, nil, err
	}
	if same && f.mapped {
		s.node.roots.put(root, search.key(), m.knownModule)
	}
	return f, m, nil
}

// look asks containerd what the container is made of, all at once.
func (s *Service) look(ctx context.Context, rec *Container) (plan *planned, image *ociwasm.Image, err error) {
	var group errgroup.Group
	group.Go(func() (err error) {
		image, err = s.image(ctx, rec)
		return err
	})
	plan, err = s.planFiles(ctx, rec)
	if ierr := group.Wait(); err == nil {
		err = ierr
	}
	return plan, image, err
}

// exec finds another module in the files of a prepared container.
func (s *Service) exec(ctx context.Context, q *hostapi.ExecRequest) (_ any, _ []*os.File, err error) {
	c, leave, err := s.enter(ctx, q.Container)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	if c.record == nil { // of a daemon before this one
		rec, err := s.lookup(ctx, q.Container)
		if err != nil {
			s.drop(q.Container, c)
			return nil, nil, err
		}
		c.record = rec
	}
	if err := s.appear(ctx, q.Container, c); err != nil {
		return nil, nil, err
	}
	files, err := s.openFiles(q.Container)
	if err != nil {
		return nil, nil, err
	}
	defer files.close()
	files.layers = c.layers
	b := &bundle{}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	image, err := s.image(ctx, c.record)
	if err != nil {
		return nil, nil, err
	}
	search, err := s.search(ctx, c.record, image, wanted{command: q.Command, cwd: q.Cwd, env: []string{"PATH=" + q.SearchPath}, exec: true})
	if err != nil {
		return nil, nil, err
	}
	module, err := s.findModule(ctx, c.record, files, search)
	if err != nil {
		return nil, nil, err
	}
	if err := s.openStdio(ctx, b, q.Container, q.Stdio); err != nil {
		return nil, nil, err
	}
	return &hostapi.ExecReply{Roles: b.roles, Module: module.Module}, b.files, nil
}

// listen opens the container's listeners in the pod's network.
func (s *Service) listen(b *bundle, rec *Container) error {
	all, err := s.choices(rec).Listeners()
	if err != nil || len(all) == 0 {
		return err
	}
	var ns *os.File
	if s.pod.NetNS != "" {
		if ns, err = netns.Open(s.pod.NetNS); err != nil {
			return err
		}
		defer func() { _ = ns.Close() }() // only a handle
	}
	for _, l := range all {
		f, err := netns.Listen(ns, l.Network, l.Address)
		if errors.Is(err, errdefs.ErrAlreadyExists) {
			return fmt.Errorf("%w (containers of a pod share its addresses: give each its own with blazar/listen.<container>)", err)
		}
		if err != nil {
			return err
		}
		b.add(hostapi.RoleListener, f)
	}
	return nil
}

// memoryLimit is linux.resources.memory.limit, 0 for none.
func memoryLimit(rec *Container) uint64 {
	l := rec.Spec.Linux
	if l == nil || l.Resources == nil || l.Resources.Memory == nil || l.Resources.Memory.Limit == nil || *l.Resources.Memory.Limit <= 0 {
		return 0
	}
	return uint64(*l.Resources.Memory.Limit)
}

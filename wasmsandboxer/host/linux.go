package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/mnt"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/hostapi"
)

// Linux runs those containers of a pod that are no WebAssembly: beside its wasm-task, in
// the pod's namespaces, by another task server. Safe for concurrent use.
type Linux interface {
	// Create has a container made; nothing of it runs. tasks, which the caller closes, is
	// a connection to a Task API that answers about this container alone, and lets whoever
	// has it do nothing with the container that its specification does not allow.
	// Nothing is left of one that could not be made.
	Create(ctx context.Context, c LinuxContainer) (tasks *os.File, err error)
	// Has says whether the container was made and not removed, by this daemon or one
	// before it.
	Has(id string) bool
	// Kill ends every process of the container; one that has ended is no error.
	Kill(ctx context.Context, id string) error
	// Update changes its limits.
	Update(ctx context.Context, id string, r *specs.LinuxResources) error
	// Remove ends it and frees all it has. No such container is no error.
	Remove(ctx context.Context, id string) error
}

// LinuxContainer is what containerd says of a container, nothing of it from the
// wasm-task but the names of its FIFOs, which were checked.
type LinuxContainer struct {
	ID, Namespace string
	// Bundle is containerd's directory with the specification.
	Bundle string
	Rootfs []mnt.Mount
	Stdio  hostapi.Stdio
	// FIFOs is the directory in which containerd makes those of the container's execs.
	FIFOs string
}

// bundlesDir is where containerd keeps bundles, below its state directory:
// core/runtime/v2 of containerd, by namespace and container.
const bundlesDir = "io.containerd.runtime.v2.task"

// linuxProgram says whether a container could not be prepared because its command is a
// program for Linux.
func linuxProgram(err error) bool {
	var r *ociwasm.Refusal
	return errors.As(err, &r) && isLinux(r.Kind)
}

// linuxRefusal is the refusal of a program for Linux, nil if a container could not be
// prepared for another reason. An engine that is missing is none that such a program
// would need.
func (s *Service) linuxRefusal(ctx context.Context, rec *Container, err error) error {
	switch {
	case err == nil, s.pod.Container != "":
		return nil
	case linuxProgram(err):
		return err
	}
	return s.sniff(ctx, rec)
}

func isLinux(k ociwasm.Kind) bool { return k == ociwasm.KindNative || k == ociwasm.KindScript }

// startLinux has the container run by the other task server; why is the error that
// says that it is no WebAssembly.
func (s *Service) startLinux(ctx context.Context, c *container, b *bundle, rec *Container, q *hostapi.PrepareRequest, why error) (*hostapi.PrepareReply, error) {
	allowed, source, err := s.choices(rec).Mixed()
	switch {
	case err != nil:
		return nil, err
	case !allowed:
		return nil, fmt.Errorf("%w (%s forbids Linux containers in wasm pods)", why, source)
	case s.pod.Linux == nil:
		return nil, why
	case !q.Linux:
		return nil, fmt.Errorf("%w (the pod's wasm-task is of a release that knows no Linux containers: make the pod anew)", why)
	}
	c.forgetLater()
	if err := s.unmount(rec.ID); err != nil {
		return nil, err
	}
	stdio, err := s.linuxStdio(rec, q.Stdio)
	if err != nil {
		return nil, err
	}
	root, err := s.node.Containers.Rootfs(ctx, s.pod.Namespace, rec)
	if err != nil {
		return nil, err
	}
	state := s.node.ContainerdState
	tasks, err := s.pod.Linux.Create(ctx, LinuxContainer{
		ID: rec.ID, Namespace: s.pod.Namespace, Bundle: filepath.Join(state, bundlesDir, s.pod.Namespace, rec.ID),
		Rootfs: root, Stdio: stdio, FIFOs: filepath.Join(state, criContainers, rec.ID, "io"),
	})
	if err != nil {
		return nil, fmt.Errorf("the Linux container %s: %w", rec.ID, err)
	}
	b.add(hostapi.RoleWorker, tasks)
	if err := s.note(rec.ID, func(e *Entry) { *e = Entry{Linux: "run by blazar taskd: " + why.Error()} }); err != nil {
		return nil, err
	}
	c.record = rec
	return &hostapi.PrepareReply{Roles: b.roles, Worker: &hostapi.Worker{Linux: true}}, nil
}

// linuxStdio checks that FIFOs are the container's own. Whether there is a terminal the
// specification says.
func (s *Service) linuxStdio(rec *Container, q hostapi.Stdio) (hostapi.Stdio, error) {
	for _, path := range []string{q.Stdin, q.Stdout, q.Stderr} {
		if path == "" {
			continue
		}
		if err := s.fifos.check(rec.ID, path); err != nil {
			return q, err
		}
	}
	q.Terminal = rec.Spec.Process.Terminal
	return q, nil
}

// sniff looks at what the command of a container is whose files are not mounted, and
// returns the refusal of a program for Linux; nil for anything else, which whoever
// prepares the container finds out. Nothing becomes visible in the pod.
func (s *Service) sniff(ctx context.Context, rec *Container) error {
	image, err := s.image(ctx, rec)
	if err != nil || image.Module != nil || image.Shape == ociwasm.ShapeWasm {
		return nil
	}
	p := rec.Spec.Process
	src, err := ociwasm.Locate(image, p.Args[0])
	if err != nil {
		return nil
	}
	root, err := s.node.Containers.Rootfs(ctx, s.pod.Namespace, rec)
	if err != nil {
		return nil
	}
	d, err := mnt.FromContainerd(root, nil, mnt.Attr{ReadOnly: true, NoSUID: true, NoDev: true, NoExec: true}, s.pod.Scratch)
	if err != nil {
		return nil
	}
	defer func() { _ = d.Close() }() // attached nowhere
	for _, path := range src.Candidates(p.Cwd, p.Env) {
		f, err := openRegular(d.Root(), path)
		if errors.Is(err, errdefs.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil
		}
		defer func() { _ = f.Close() }() // only read
		st, err := f.Stat()
		if err != nil {
			return nil
		}
		if err := ociwasm.CheckModule(path, f, st.Size(), ociwasm.Abilities{Components: true}); linuxProgram(err) {
			return err
		}
		return nil
	}
	return nil
}

// killLinux ends a container of the other task server, to which the connection was lost,
// and says so; done is false if the container is none.
func (s *Service) killLinux(ctx context.Context, id string) (end *hostapi.KillReply, done bool, err error) {
	if s.pod.Linux == nil || !s.pod.Linux.Has(id) {
		return nil, false, nil
	}
	if err := s.pod.Linux.Kill(ctx, id); err != nil {
		return nil, true, err
	}
	return &hostapi.KillReply{Reason: "it was killed, or blazar taskd was started again"}, true, nil
}

// limit sets the limits that a Linux container has by now according to containerd, which
// the wasm-task is not asked.
func (s *Service) limit(ctx context.Context, q *hostapi.LimitRequest) error {
	if err := identifiers.Validate(q.Container); err != nil {
		return fmt.Errorf("container id %q: %w", clip(q.Container), errdefs.ErrInvalidArgument)
	}
	if s.pod.Linux == nil || !s.pod.Linux.Has(q.Container) {
		return fmt.Errorf("the Linux container %s: %w", q.Container, errdefs.ErrNotFound)
	}
	rec, err := s.lookup(ctx, q.Container)
	if err != nil {
		return err
	}
	if rec.Spec.Linux == nil || rec.Spec.Linux.Resources == nil {
		return nil
	}
	return s.pod.Linux.Update(ctx, q.Container, rec.Spec.Linux.Resources)
}

// removeLinux ends a container of the other task server, if it is one.
func (s *Service) removeLinux(ctx context.Context, id string) error {
	if s.pod.Linux == nil || !s.pod.Linux.Has(id) {
		return nil
	}
	log.G(ctx).Debug("removing a Linux container")
	return s.pod.Linux.Remove(ctx, id)
}

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/cgroup"
	"blazar/wasmsandboxer/hostapi"
)

// cpuLimits are the CPU limits of a container's specification.
func cpuLimits(rec *Container) hostapi.CPU {
	l := rec.Spec.Linux
	if l == nil || l.Resources == nil || l.Resources.CPU == nil {
		return hostapi.CPU{}
	}
	c := l.Resources.CPU
	out := hostapi.CPU{CPUs: c.Cpus, Mems: c.Mems}
	if c.Shares != nil {
		out.Shares = *c.Shares
	}
	if c.Quota != nil {
		out.Quota = *c.Quota
	}
	if c.Period != nil {
		out.Period = *c.Period
	}
	return out
}

// some says whether anything is limited.
func some(c hostapi.CPU) bool {
	return c.Shares != 0 || c.Quota > 0 || c.CPUs != "" || c.Mems != ""
}

// threads is the group of the container's threads; errdefs.ErrNotImplemented
// without one of the pod.
func (s *Service) threads(id string) (*cgroup.Threads, error) {
	if s.pod.Group == nil {
		return nil, fmt.Errorf("the pod has no cgroup: %w", errdefs.ErrNotImplemented)
	}
	return s.pod.Group.Threads(id)
}

// limitCPU holds the container's threads to the limits of its specification: in a
// group of their own, the files of which go into b. A container that never had any
// limits gets no group, which would cost its start time for nothing. Where the host
// cannot, the pod's limits hold alone. The text says how they hold, empty without
// limits; ok is false where it is the pod's alone. fresh says that the container was
// not there before, so that it has no group yet.
func (s *Service) limitCPU(b *bundle, rec *Container, fresh bool) (text string, ok bool, err error) {
	want := cpuLimits(rec)
	if fresh && !some(want) {
		return "", true, nil
	}
	t, err := s.threads(rec.ID)
	if err == nil && !some(want) {
		files, ferr := t.Files()
		closeFiles(files)
		if errdefs.IsNotFound(ferr) {
			return "", true, nil
		}
	}
	if err == nil {
		err = t.Set(specCPU(want))
	}
	if errdefs.IsNotImplemented(err) {
		if !some(want) {
			return "", true, nil
		}
		return fmt.Sprintf("CPU limits hold for the pod as a whole: %v", err), false, nil
	}
	if err != nil {
		return "", false, err
	}
	files, err := t.Files()
	if err != nil {
		return "", false, err
	}
	stat, err := t.Stat()
	if err != nil {
		closeFiles(files)
		return "", false, err
	}
	for _, f := range files {
		b.add(hostapi.RoleThreads, f)
	}
	b.add(hostapi.RoleThrottling, stat)
	return "CPU limits hold for the container: " + t.Describe(), true, nil
}

// specCPU is what package cgroup takes. Zero shares are none, as everywhere.
func specCPU(c hostapi.CPU) *specs.LinuxCPU {
	out := &specs.LinuxCPU{Cpus: c.CPUs, Mems: c.Mems}
	if c.Shares != 0 {
		out.Shares = &c.Shares
	}
	if c.Quota != 0 {
		out.Quota = &c.Quota
	}
	if c.Period != 0 {
		out.Period = &c.Period
	}
	return out
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // not written to
	}
}

// update sets the limits that the container has by now. The request names them only
// to be compared: a wasm-task that a guest took over could otherwise give itself
// more. CRI, as every client that updates, writes them to containerd's record
// first.
func (s *Service) update(ctx context.Context, q *hostapi.UpdateRequest) (_ any, _ []*os.File, err error) {
	c, leave, err := s.enter(ctx, q.Container)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	rec, err := s.lookup(ctx, q.Container)
	if err != nil {
		if c.record == nil {
			s.drop(q.Container, c)
		}
		return nil, nil, err
	}
	if is := cpuLimits(rec); q.CPU != is {
		return nil, nil, fmt.Errorf("CPU limits %+v: containerd's record of the container says %+v (change the record first, as CRI does): %w",
			q.CPU, is, errdefs.ErrFailedPrecondition)
	}
	c.unlimited = false
	b := &bundle{}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := s.limitWorker(ctx, rec); err != nil {
		return nil, nil, err
	}
	text, ok, err := s.limitCPU(b, rec, false)
	if err != nil {
		return nil, nil, err
	}
	c.record = rec
	if err := s.note(q.Container, func(e *Entry) { e.CPU = text }); err != nil {
		return nil, nil, err
	}
	reply := &hostapi.UpdateReply{Roles: b.roles}
	if !ok {
		reply.Notes = []string{text}
	}
	return reply, b.files, nil
}

// PodResized sets the CPU limits of the pod's containers again, after those of the
// pod were changed: v1 refuses a container more than its pod has, so that what it
// was refused then may be possible now.
func (s *Service) PodResized(ctx context.Context) error {
	prepared, err := os.ReadDir(filepath.Join(s.pod.Root, containersDir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("containers of the pod: %w", err)
	}
	var errs []error
	for _, dir := range prepared {
		id := dir.Name()
		if err := s.limitAgain(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("container %s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// limitAgain sets the limits of a container that has a group; its threads are there.
func (s *Service) limitAgain(ctx context.Context, id string) error {
	t, err := s.threads(id)
	if errdefs.IsNotImplemented(err) {
		return nil
	}
	if err != nil {
		return err
	}
	files, err := t.Files()
	closeFiles(files)
	if errdefs.IsNotFound(err) {
		return nil // it has none, or is gone
	}
	if err != nil {
		return err
	}
	c, leave, err := s.enter(ctx, id)
	if err != nil {
		return err
	}
	defer leave()
	rec, err := s.lookup(ctx, id)
	if err != nil {
		if c.record == nil {
			s.drop(id, c)
		}
		return err
	}
	c.unlimited = false
	b := &bundle{}
	defer b.close()
	text, _, err := s.limitCPU(b, rec, false)
	if err != nil {
		return err
	}
	return s.note(id, func(e *Entry) { e.CPU = text })
}

// removeThreads takes the group of the container's threads away, if it has one.
func (s *Service) removeThreads(ctx context.Context, id string) error {
	t, err := s.threads(id)
	if errdefs.IsNotImplemented(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.Delete(ctx)
}

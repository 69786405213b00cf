package runctask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"blazar/internal/cgroup"
	"blazar/runcsandboxer/podfile"
	"blazar/sandbox/task"
)

var _ task.Runtime = (*Runtime)(nil)

// Create prepares a container: nothing runs before Start. After an error nothing is
// left of it.
func (r *Runtime) Create(ctx context.Context, q *task.CreateRequest) (_ task.Container, err error) {
	c, spec, err := r.plan(ctx, q)
	if err != nil {
		return nil, err
	}
	c.record.Scope, _ = ctx.Value(scopeKey{}).(*Scope)
	if err := r.add(c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			ctx, cancel := c.detach(ctx)
			defer cancel()
			err = errors.Join(err, c.remove(ctx))
		}
	}()
	// The record comes before everything that it says how to remove.
	if err := os.Mkdir(c.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := c.save(); err != nil {
		return nil, err
	}
	if err := link(c.dir, filepath.Join(q.Bundle, linkName)); err != nil {
		return nil, err
	}
	if c.record.PodDir != "" {
		note := podfile.Container{ID: q.ID, CgroupsPath: spec.Linux.CgroupsPath}
		if err := podfile.Note(c.record.PodDir, note); err != nil {
			return nil, err
		}
	}
	if err := c.mountRootfs(ctx, q.Rootfs); err != nil {
		return nil, err
	}
	return c, c.change(func(r *record) { r.Phase = phaseCreated })
}

// link makes or replaces a symbolic link.
func link(to, at string) error {
	err := os.Symlink(to, at)
	if !errors.Is(err, os.ErrExist) {
		return err
	}
	return errors.Join(os.Remove(at), os.Symlink(to, at))
}

// plan reads and completes the specification, and decides everything about the
// container without making anything but the specification anew.
func (r *Runtime) plan(ctx context.Context, q *task.CreateRequest) (*container, *specs.Spec, error) {
	if err := identifiers.Validate(q.ID); err != nil {
		return nil, nil, fmt.Errorf("container id: %w", err)
	}
	if !filepath.IsAbs(q.Bundle) {
		return nil, nil, fmt.Errorf("bundle %q is no absolute path: %w", q.Bundle, errdefs.ErrInvalidArgument)
	}
	o, err := decodeOptions(q.Options)
	if err != nil {
		return nil, nil, err
	}
	spec, err := readSpec(q.Bundle)
	if err != nil {
		return nil, nil, err
	}
	ns, ok := namespaces.Namespace(ctx)
	if !ok {
		ns = "k8s.io"
	}
	rec := record{
		Version: recordVersion, ID: q.ID, Namespace: ns, Bundle: q.Bundle, Stdio: q.Stdio, Phase: phaseMaking,
		Pod: spec.Annotations[sandboxAnnotation], Checkpoint: q.Checkpoint, CriuWork: o.GetCriuWorkPath(),
		NoPivot: o.GetNoPivotRoot(), NoNewKeyring: o.GetNoNewKeyring(), Systemd: o.GetSystemdCgroup(), Root: r.config.Root,
	}
	if o.GetRoot() != "" {
		rec.Root = filepath.Join(o.GetRoot(), ns)
	}
	name := r.config.Binary
	if o.GetBinaryName() != "" {
		name = o.GetBinaryName()
	}
	if rec.Binary, err = binary(name); err != nil {
		return nil, nil, err
	}
	if err := rec.join(r.config.State, spec); err != nil {
		return nil, nil, err
	}
	rec.OwnPids = ownsPids(spec)
	rec.UID, rec.GID = ids(spec)
	if o.GetIoUid() != 0 || o.GetIoGid() != 0 {
		rec.UID, rec.GID = o.GetIoUid(), o.GetIoGid()
	}
	if err := writeSpec(q.Bundle, spec); err != nil {
		return nil, nil, err
	}
	c, err := r.container(rec)
	return c, spec, err
}

// join completes the specification of a pod's container, and finds its cgroup.
func (r *record) join(stateDir string, spec *specs.Spec) error {
	if r.Pod != "" {
		pod, dir, err := podfile.Load(stateDir, r.Pod)
		if err != nil {
			return err
		}
		r.PodDir = dir
		if err := complete(spec, r.ID, pod); err != nil {
			return err
		}
		r.Systemd = r.Systemd || pod.Cgroup.Systemd
	}
	if spec.Linux.CgroupsPath == "" {
		spec.Linux.CgroupsPath = path.Join("/", r.Namespace, r.ID)
	}
	systemd := strings.Count(spec.Linux.CgroupsPath, ":") == 2 && !path.IsAbs(spec.Linux.CgroupsPath)
	r.Systemd = r.Systemd || systemd
	if !systemd {
		spec.Linux.CgroupsPath = path.Clean("/" + spec.Linux.CgroupsPath)
	}
	r.Cgroup = spec.Linux.CgroupsPath
	group, err := cgroup.OfContainer(r.Cgroup)
	if err != nil {
		return err
	}
	// It is killed and removed as the container's own.
	if !strings.Contains(path.Base(group.Path()), r.ID) {
		return fmt.Errorf("cgroupsPath %q does not end in the container's id: %w", r.Cgroup, errdefs.ErrInvalidArgument)
	}
	r.CgroupDir = group.Path()
	return nil
}

// container makes the container of a record.
func (r *Runtime) container(rec record) (*container, error) {
	group, err := cgroup.OfContainer(rec.Cgroup)
	if err != nil {
		return nil, err
	}
	c := &container{rt: r, dir: filepath.Join(r.records(), rec.ID), group: group, oom: r.oom.Group(), record: rec}
	c.process = process{name: fmt.Sprintf("container %.12s", rec.ID), stdio: rec.Stdio}
	return c, nil
}

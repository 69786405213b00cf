package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Stop removes the pods, ends the daemons and everything that is left of the node,
// and then its folder. It goes on after an error and reports all of them.
func (n *Node) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	var errs []error
	if n.answers(ctx) {
		if err := n.RemovePods(ctx); err != nil {
			errs = append(errs, fmt.Errorf("remove pods: %w", err))
		}
	}
	n.end(containerdName, syscall.SIGTERM, 10*time.Second)
	n.end(serveName, syscall.SIGTERM, 10*time.Second)
	n.end(taskdName, syscall.SIGTERM, 10*time.Second)
	if n.cgroup != nil {
		errs = append(errs, n.cgroup.killRest(10*time.Second))
	}
	errs = append(errs, unmountBelow(n.Dir), n.state.Network.remove())
	if n.cgroup != nil {
		errs = append(errs, n.cgroup.remove())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop node %s: %w", n.Dir, err)
	}
	// Last, and only when nothing is mounted below: the record leads Open back here.
	if err := os.RemoveAll(n.Dir); err != nil {
		return fmt.Errorf("stop node: %w", err)
	}
	return nil
}

// answers says whether containerd can be asked to remove pods.
func (n *Node) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := os.Stat(n.Containerd()); err != nil {
		return false
	}
	_, err := n.Crictl(ctx, "version")
	return err == nil
}

// RemovePods stops and removes every pod of the node.
func (n *Node) RemovePods(ctx context.Context) error {
	out, err := n.Crictl(ctx, "pods", "-q")
	if err != nil {
		return err
	}
	ids := strings.Fields(out)
	if len(ids) == 0 {
		return nil
	}
	_, err = n.Crictl(ctx, append([]string{"rmp", "-f"}, ids...)...)
	return err
}

// mountsBelow lists the mount points below dir, innermost first.
func mountsBelow(dir string) ([]string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return nil, err
	}
	var points []string
	for _, m := range mounts {
		points = append(points, m.Mountpoint)
	}
	slices.Reverse(points)
	return points, nil
}

func unmountBelow(dir string) error {
	points, err := mountsBelow(dir)
	errs := []error{err}
	for _, p := range points {
		if err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

// Sweep stops the nodes that were left behind by processes that died before they
// could stop them; nodes kept with Keep stay.
func Sweep(ctx context.Context) error {
	dirs, err := filepath.Glob(DirPrefix + "*")
	errs := []error{err}
	for _, dir := range dirs {
		n, err := Open(dir)
		if err != nil {
			continue // still starting, or not ours
		}
		if n.state.Owner.abandoned() {
			errs = append(errs, n.Stop(ctx))
		}
	}
	return errors.Join(errs...)
}

// Kept lists the folders of the nodes that Keep left up.
func Kept() ([]string, error) {
	dirs, err := filepath.Glob(DirPrefix + "*")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		n, err := Open(dir)
		return err != nil || n.state.Owner != owner{}
	}), nil
}

// owner is the process that is to stop a node; the zero value is nobody.
type owner struct {
	Pid       int
	StartTime uint64
}

func thisProcess() (owner, error) {
	start, err := startTime(os.Getpid())
	return owner{Pid: os.Getpid(), StartTime: start}, err
}

// abandoned says that there was an owner, and that it is gone.
func (o owner) abandoned() bool {
	if o == (owner{}) {
		return false
	}
	start, err := startTime(o.Pid)
	return err != nil || start != o.StartTime
}

// Keep leaves the node up after the end of this process, until somebody opens and
// stops it.
func (n *Node) Keep() error {
	n.state.Owner = owner{}
	return n.save()
}

package runcsandboxer

import (
	"context"
	"errors"
	"fmt"

	"blazar/internal/cgroup"
	"blazar/runcsandboxer/podfile"
)

// KillNoted ends the containers of a pod that the task server has noted in the pod's
// directory, without its help, by their cgroups: all of them, or the one that is named.
func KillNoted(ctx context.Context, dir, container string) error {
	all, err := podfile.Containers(dir)
	errs := []error{err}
	for _, c := range all {
		if container != "" && c.ID != container {
			continue
		}
		g, err := cgroup.OfContainer(c.CgroupsPath)
		if err == nil {
			err = g.Kill(ctx)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("container %s: %w", c.ID, err))
		}
	}
	return errors.Join(errs...)
}

package doctor

import (
	"context"
	"fmt"
)

func checkRoot(_ context.Context, h *Host) []Result {
	if h.Euid == 0 {
		return ok("user", "root")
	}
	return fail("user", fmt.Sprintf("uid %d", h.Euid), "run as root: `blazar serve` makes namespaces, mounts and cgroups, and several checks below need it too")
}

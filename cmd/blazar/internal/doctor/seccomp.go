package doctor

import (
	"context"
	"slices"
	"strings"
)

// seccompActions lists what a filter may answer; seccomp(2).
const seccompActions = "/proc/sys/kernel/seccomp/actions_avail"

func checkSeccomp(_ context.Context, h *Host) []Result {
	const name = "seccomp"
	b, err := h.read(seccompActions)
	if err != nil {
		return fail(name, "no filters: "+err.Error(), "use a kernel with CONFIG_SECCOMP_FILTER: wasm-task does not start without its filter")
	}
	have := strings.Fields(string(b))
	for _, want := range []string{"kill_process", "errno", "allow"} {
		if !slices.Contains(have, want) {
			return fail(name, "filters cannot answer "+want, "use a kernel of 4.14 or newer with CONFIG_SECCOMP_FILTER")
		}
	}
	return ok(name, "filters available")
}

package doctor

import "context"

func checkOOMScore(_ context.Context, h *Host) []Result {
	const name = "oom score"
	switch {
	case h.Containerd == nil || h.Containerd.CRI == nil:
		return warn(name, "containerd could not be asked", "see the check of containerd")
	case h.Containerd.CapSysResource:
		return ok(name, "containerd may lower it")
	case h.Containerd.CRI.RestrictOOMScoreAdj:
		return ok(name, "containerd may not lower it and knows")
	}
	return warn(name, "containerd has no CAP_SYS_RESOURCE and tries to lower it all the same",
		"set restrict_oom_score_adj = true in [plugins.'io.containerd.cri.v1.runtime'], or pods of runc fail on /proc/self/oom_score_adj; wasm pods are not affected")
}

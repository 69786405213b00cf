package host

import (
	"slices"

	"blazar/wasmsandboxer/hostapi"
)

// Entry is what is known of a container that the pod has or had.
type Entry struct {
	hostapi.Module
	// Cached says that the module had been compiled before.
	Cached bool `json:"cached"`
	// FirstTier says that it runs on baseline code, and why; empty if not.
	FirstTier string `json:"first_tier,omitempty"`
	// CPU says how its CPU limits hold; empty if it has none.
	CPU string `json:"cpu,omitempty"`
	// Worker says what process of its own it runs in, and why; empty if in none.
	Worker string `json:"worker,omitempty"`
	// Linux says that it is a Linux container, and why; empty if it is not.
	Linux string `json:"linux,omitempty"`
	// Exit says how it ended, if that was not by itself.
	Exit *End `json:"exit,omitempty"`
}

// End is how a process ended.
type End struct {
	Status  uint32 `json:"status"`
	Message string `json:"message"`
}

// maxHistory bounds the containers that are remembered: a pod that restarts its
// containers for months has more than anybody wants to read of.
const maxHistory = 128

// history remembers the containers that were found to belong to the pod: because their
// last events come when containerd has forgotten them already, and for people, but for
// those only on disk: they seldom ask. The zero value is ready.
type history struct {
	order []string // oldest first
	known map[string]struct{}
}

// has says whether a container is remembered.
func (h *history) has(id string) bool {
	_, ok := h.known[id]
	return ok
}

// add remembers a container and forgets the oldest if there are too many.
func (h *history) add(id string) (forgotten string) {
	if h.has(id) {
		return ""
	}
	if h.known == nil {
		h.known = map[string]struct{}{}
	}
	h.known[id] = struct{}{}
	h.order = append(h.order, id)
	if len(h.order) <= maxHistory {
		return ""
	}
	forgotten = h.order[0]
	h.order = slices.Delete(h.order, 0, 1) // in place
	delete(h.known, forgotten)
	return forgotten
}

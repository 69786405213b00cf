package host

import "blazar/wasmsandboxer/hostapi"

// Entry is what is known of a container that the pod has or had.
type Entry struct {
	hostapi.Module
	// Cached says that the module had been compiled before.
	Cached bool `json:"cached"`
	// CPU says how its CPU limits hold; empty if it has none.
	CPU string `json:"cpu,omitempty"`
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

// history remembers the containers that were found to belong to the pod: for
// people, and because their last events come when containerd has forgotten them
// already. The zero value is ready.
type history struct {
	entries map[string]*Entry
	order   []string // oldest first
}

// get is nil for a container that is not remembered.
func (h *history) get(id string) *Entry { return h.entries[id] }

// add remembers a container and forgets the oldest if there are too many.
func (h *history) add(id string) (forgotten string) {
	if h.entries[id] != nil {
		return ""
	}
	if h.entries == nil {
		h.entries = map[string]*Entry{}
	}
	h.entries[id] = &Entry{}
	h.order = append(h.order, id)
	if len(h.order) <= maxHistory {
		return ""
	}
	forgotten = h.order[0]
	h.order = h.order[1:]
	delete(h.entries, forgotten)
	return forgotten
}

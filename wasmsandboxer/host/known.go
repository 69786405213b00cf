package host

// knownIDs remembers the containers that were found to belong to the pod, so that
// their last events pass when containerd has forgotten them already. The zero
// value is ready.
type knownIDs struct {
	ids   map[string]struct{}
	order []string
}

func (k *knownIDs) add(id string) {
	if k.has(id) {
		return
	}
	if k.ids == nil {
		k.ids = map[string]struct{}{}
	}
	k.ids[id] = struct{}{}
	k.order = append(k.order, id)
	if len(k.order) > maxContainers {
		delete(k.ids, k.order[0])
		k.order = k.order[1:]
	}
}

func (k *knownIDs) has(id string) bool {
	_, ok := k.ids[id]
	return ok
}

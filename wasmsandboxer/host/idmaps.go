package host

import (
	"fmt"
	"sync"

	"github.com/containerd/errdefs"

	"blazar/internal/mnt"
)

// idmaps are the mappings of one pod: one for each user that its containers run as,
// made once because it takes a process to make one. The zero value is ready.
type idmaps struct {
	mu     sync.Mutex // guards the fields below, and is held while one is made
	m      map[idmapKey]*mnt.IDMap
	closed bool
}

type idmapKey struct{ uid, gid uint32 }

// maxIDMaps bounds the users of one pod.
const maxIDMaps = 64

// idmap is the mapping for containers that run as this user.
func (s *Service) idmap(uid, gid uint32) (*mnt.IDMap, error) {
	i := &s.idmaps
	i.mu.Lock()
	defer i.mu.Unlock()
	key := idmapKey{uid, gid}
	switch {
	case i.closed:
		return nil, fmt.Errorf("pod is being removed: %w", errdefs.ErrUnavailable)
	case i.m[key] != nil:
		return i.m[key], nil
	case len(i.m) >= maxIDMaps:
		return nil, fmt.Errorf("pod's containers run as more than %d users: %w", maxIDMaps, errdefs.ErrResourceExhausted)
	}
	m, err := mnt.NewIDMap(s.pod.UID, uid, gid)
	if err != nil {
		return nil, err
	}
	if i.m == nil {
		i.m = map[idmapKey]*mnt.IDMap{}
	}
	i.m[key] = m
	return m, nil
}

// close lets go of the mappings; mounts made with them keep them.
func (i *idmaps) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	for _, m := range i.m {
		_ = m.Close() // a descriptor without contents
	}
	i.m = nil
}

package precompile

import "sync"

// item is an image to look at, or with no name all images of the namespace.
type item struct{ namespace, name string }

// maxQueue bounds the images that wait: more than a node has.
const maxQueue = 8192

// queue is what waits to be looked at, each once and in order.
type queue struct {
	mu      sync.Mutex // guards the fields below
	order   []item
	waiting map[item]bool

	// wake holds a token when there is something to take.
	wake chan struct{}
}

func newQueue() *queue { return &queue{waiting: map[item]bool{}, wake: make(chan struct{}, 1)} }

// add is false when there is no room.
func (q *queue) add(i item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[i] {
		return true
	}
	if len(q.order) >= maxQueue {
		return false
	}
	q.waiting[i] = true
	q.order = append(q.order, i)
	select {
	case q.wake <- struct{}{}:
	default: // one token is enough
	}
	return true
}

// take takes the first, if there is one.
func (q *queue) take() (i item, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.order) == 0 {
		return item{}, false
	}
	i = q.order[0]
	q.order = q.order[1:]
	delete(q.waiting, i)
	return i, true
}

package task

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/log"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// topic is where an event is published; see core/runtime/events.go of containerd.
type topic string

const (
	topicCreate       topic = "/tasks/create"
	topicStart        topic = "/tasks/start"
	topicOOM          topic = "/tasks/oom"
	topicExit         topic = "/tasks/exit"
	topicDelete       topic = "/tasks/delete"
	topicExecAdded    topic = "/tasks/exec-added"
	topicExecStarted  topic = "/tasks/exec-started"
	topicPaused       topic = "/tasks/paused"
	topicResumed      topic = "/tasks/resumed"
	topicCheckpointed topic = "/tasks/checkpointed"
)

// Of one attempt to publish, and of the pause before the next.
const (
	publishTimeout = 10 * time.Second
	retryFirst     = 50 * time.Millisecond
	retryMost      = 5 * time.Second
)

// event waits to be published.
type event struct {
	container string
	topic     topic
	message   proto.Message
	since     time.Time
}

// queue publishes events in order, from one goroutine.
type queue struct {
	publisher Publisher
	timeout   time.Duration
	limit     int

	ctx    context.Context
	cancel context.CancelFunc
	// wake holds a token when there may be something to do.
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex // guards the fields below
	waiting []event
	dropped int
	closed  bool
}

func newQueue(o Options) *queue {
	q := &queue{
		publisher: o.Publisher,
		timeout:   o.EventTimeout,
		limit:     o.EventQueue,
		wake:      make(chan struct{}, 1),
		done:      make(chan struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	if q.publisher == nil {
		close(q.done)
		return q
	}
	go q.run()
	return q
}

// push adds an event. It never blocks, so it may be called with locks held.
func (q *queue) push(container string, t topic, message proto.Message) {
	if q.publisher == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if len(q.waiting) >= q.limit {
		q.dropped++
		return
	}
	q.waiting = append(q.waiting, event{container: container, topic: t, message: message, since: time.Now()})
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns the oldest event; more is false when there will be no other.
func (q *queue) take() (e event, ok, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.dropped > 0 {
		log.L.Warnf("%d events dropped, containerd took none for too long", q.dropped)
		q.dropped = 0
	}
	if len(q.waiting) == 0 {
		q.waiting = nil
		return event{}, false, !q.closed
	}
	e = q.waiting[0]
	q.waiting[0] = event{}
	q.waiting = q.waiting[1:]
	return e, true, true
}

func (q *queue) run() {
	defer close(q.done)
	for {
		e, ok, more := q.take()
		if ok {
			q.deliver(e)
			continue
		}
		if !more {
			return
		}
		<-q.wake
	}
}

// deliver publishes one event, again and again until its time is over.
func (q *queue) deliver(e event) {
	name := "containerd.events." + string(e.message.ProtoReflect().Descriptor().Name())
	value, err := proto.Marshal(e.message)
	packed := &anypb.Any{TypeUrl: name, Value: value}
	pause := retryFirst
	for err == nil {
		if err = q.publish(e.topic, packed); err == nil {
			return
		}
		if q.ctx.Err() != nil || time.Since(e.since)+pause > q.timeout {
			break
		}
		log.L.WithError(err).WithField("container_id", e.container).Debugf("cannot publish %s yet", e.topic)
		err = nil
		select {
		case <-time.After(pause):
		case <-q.ctx.Done():
		}
		pause = min(2*pause, retryMost)
	}
	log.L.WithError(err).WithField("container_id", e.container).Warnf("event %s dropped", e.topic)
}

func (q *queue) publish(t topic, packed *anypb.Any) error {
	ctx, cancel := context.WithTimeout(q.ctx, publishTimeout)
	defer cancel()
	return guard(ctx, "publish", func() error { return q.publisher.Publish(ctx, string(t), packed) })
}

// close waits until the events that wait were published, or ctx ended.
func (q *queue) close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.signal()
	q.mu.Unlock()
	defer q.cancel()
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
	}
	q.cancel()
	select {
	case <-q.done:
	case <-time.After(publishTimeout):
		return fmt.Errorf("the publisher of events did not come back: %w", ctx.Err())
	}
	return nil
}

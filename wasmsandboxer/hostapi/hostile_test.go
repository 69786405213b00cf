package hostapi

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// answers is a handler that answers everything with as much text.
type answers int

func (a answers) Handle(context.Context, string, []byte) (any, []*os.File, error) {
	return strings.Repeat("x", int(a)), nil, nil
}

// Whoever asks and never reads the answers loses the connection, and with it what the
// daemon keeps for it.
func TestAnswersThatNobodyReads(t *testing.T) {
	defer func(d time.Duration) { answerTimeout = d }(answerTimeout)
	answerTimeout = 200 * time.Millisecond
	daemon, hostile := pair(t)
	go func() {
		q, _ := json.Marshal(&packet{ID: 1, Method: "x"})
		for {
			if _, err := hostile.Write(q); err != nil {
				return
			}
		}
	}()
	ended := make(chan error, 1)
	go func() { ended <- Serve(t.Context(), daemon, answers(MaxPacket/4)) }()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting for the answers to be read")
	}
}

// A pod that does nothing costs the daemon next to nothing: it has one such connection
// for each.
func TestIdleConnectionsAreSmall(t *testing.T) {
	const n = 100
	ctx, cancel := context.WithCancel(t.Context())
	var done []chan struct{}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range n {
		daemon, _ := pair(t)
		d := make(chan struct{})
		done = append(done, d)
		go func() { defer close(d); _ = Serve(ctx, daemon, answers(1)) }()
	}
	time.Sleep(50 * time.Millisecond)
	runtime.GC()
	runtime.GC() // empties the pool of buffers
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc+after.StackInuse) - int64(before.HeapAlloc+before.StackInuse)
	if each := used / n; each > 40<<10 {
		t.Errorf("%d bytes each", each)
	}
	cancel()
	for _, d := range done {
		<-d
	}
}

// A flood of requests is slowed down, not taken as fast as it comes.
func TestFloodOfRequests(t *testing.T) {
	daemon, hostile := pair(t)
	done := make(chan struct{})
	go func() { defer close(done); _ = Serve(t.Context(), daemon, answers(1)) }()
	begin := time.Now()
	go func() {
		q, _ := json.Marshal(&packet{ID: 1, Method: "x"})
		for range requestBurst + requestRate {
			if _, err := hostile.Write(q); err != nil {
				return
			}
		}
	}()
	b := make([]byte, MaxPacket)
	for range requestBurst + requestRate {
		if _, err := hostile.Read(b); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(begin); d < 900*time.Millisecond {
		t.Errorf("%d requests were answered in %v", requestBurst+requestRate, d)
	}
	_ = hostile.Close()
	<-done
}

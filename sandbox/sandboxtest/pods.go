package sandboxtest

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/api/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

func lifeOfPod(n *node) {
	id := n.newID()
	n.create(id)
	n.state(id, notReady)
	p := n.start(id)
	s := p.started
	if s.GetVersion() != 3 || s.GetSandboxID() != id {
		n.Errorf("Start answered version %d, id %q", s.GetVersion(), s.GetSandboxID())
	}
	if since := time.Since(s.GetCreatedAt().AsTime()).Abs(); since > time.Minute {
		n.Errorf("the pod was created %v ago", since)
	}
	st, err := n.api.Status(n.call(), &api.ControllerStatusRequest{SandboxID: id, Verbose: true})
	n.must(err)
	if st.GetState() != ready || st.GetPid() != s.GetPid() || st.GetAddress() != s.GetAddress() || st.GetVersion() != 3 ||
		!st.GetCreatedAt().AsTime().Equal(s.GetCreatedAt().AsTime()) {
		n.Errorf("Start answered %v, Status %v", s, st)
	}
	for _, key := range []string{"kind", "pid", "engine", "paths"} {
		if st.GetInfo()[key] == "" {
			n.Errorf("the verbose status says nothing of %q: %v", key, st.GetInfo())
		}
	}
	if _, ok := st.GetInfo()["info"]; ok {
		n.Error(`the verbose status uses the key "info", which is the CRI plugin's own`)
	}
	pl, err := n.api.Platform(n.call(), &api.ControllerPlatformRequest{SandboxID: id})
	n.must(err)
	if pl.GetPlatform().GetOS() != "linux" || pl.GetPlatform().GetArchitecture() != runtime.GOARCH {
		n.Errorf("platform %v", pl.GetPlatform())
	}
	n.metrics(id)
	exit := n.wait(id)
	n.stop(id)
	if w := <-exit; w.err != nil {
		n.Errorf("Wait that was blocked at Stop: %v", w.err)
	}
	n.waitEnd(id)
	st = n.status(id)
	if st.GetState() != notReady || st.GetPid() != 0 || st.GetExitedAt() == nil {
		n.Errorf("Status after Stop: %v", st)
	}
	if running(p.process) {
		n.Error("the pod's process runs after Stop")
	}
	_, err = n.api.Metrics(n.call(), &api.ControllerMetricsRequest{SandboxID: id})
	n.code(err, codes.NotFound, "Metrics after Stop")
	n.shutdown(id)
	_, err = n.api.Status(n.call(), &api.ControllerStatusRequest{SandboxID: id})
	n.code(err, codes.NotFound, "Status after Shutdown")
}

// metrics checks that a running pod is measured.
func (n *node) metrics(id string) {
	n.Helper()
	m, err := n.api.Metrics(n.call(), &api.ControllerMetricsRequest{SandboxID: id})
	if n.suite.lacks(MetricOf) {
		n.code(err, codes.Unimplemented, "Metrics")
		return
	}
	n.must(err)
	checkMetrics(n, m.GetMetrics().GetData())
	if m.GetMetrics().GetID() != id || m.GetMetrics().GetTimestamp() == nil {
		n.Errorf("metrics of %q at %v", m.GetMetrics().GetID(), m.GetMetrics().GetTimestamp())
	}
}

func unknownPods(n *node) {
	id := n.newID()
	_, err := n.api.Start(n.call(), &api.ControllerStartRequest{SandboxID: id})
	n.code(err, codes.NotFound, "Start")
	_, err = n.api.Status(n.call(), &api.ControllerStatusRequest{SandboxID: id, Verbose: true})
	n.code(err, codes.NotFound, "Status")
	_, err = n.api.Wait(n.call(), &api.ControllerWaitRequest{SandboxID: id})
	n.code(err, codes.NotFound, "Wait")
	_, err = n.api.Metrics(n.call(), &api.ControllerMetricsRequest{SandboxID: id})
	n.code(err, codes.NotFound, "Metrics")
	_, err = n.api.Platform(n.call(), &api.ControllerPlatformRequest{SandboxID: id})
	n.code(err, codes.NotFound, "Platform")
	_, err = n.api.Update(n.call(), &api.ControllerUpdateRequest{SandboxID: id, Sandbox: &types.Sandbox{SandboxID: id}})
	n.code(err, codes.NotFound, "Update")
	for range 2 {
		n.stop(id)
		n.shutdown(id)
	}
}

func hostileRequests(n *node) {
	for _, id := range []string{"", ".", "..", "../x", "a/b", ".corrupt", "x\x00y", string(make([]byte, 300))} {
		r := n.createRequest("x")
		r.SandboxID = id
		_, err := n.api.Create(n.call(), r)
		if c := status.Code(err); c != codes.InvalidArgument && c != codes.Internal { // gRPC refuses what is no UTF-8
			n.Errorf("Create with id %q: %v", id, err)
		}
		n.stop(id)
		n.shutdown(id)
	}
	id := n.newID()
	for _, bad := range []string{"relative", "/a/../b", "/a/"} {
		r := n.createRequest(id)
		r.NetnsPath = bad
		_, err := n.api.Create(n.call(), r)
		n.code(err, codes.InvalidArgument, "Create with netns "+bad)
	}
	for _, options := range []*anypb.Any{
		{TypeUrl: "runtime.v1.PodSandboxConfig", Value: []byte{0xff, 0xff, 0xff}},
		{TypeUrl: "something.Else", Value: nil},
	} {
		r := n.createRequest(id)
		r.Options = options
		_, err := n.api.Create(n.call(), r)
		n.code(err, codes.InvalidArgument, "Create with options "+options.String())
	}
	// None of that took the id.
	n.create(id)
	n.shutdown(id)
}

func outOfOrder(n *node) {
	id := n.newID()
	n.create(id)
	exit := n.wait(id)
	n.stop(id) // before Start
	if w := <-exit; w.err != nil {
		n.Errorf("Wait on a pod that was never started: %v", w.err)
	}
	_, err := n.api.Start(n.call(), &api.ControllerStartRequest{SandboxID: id})
	n.code(err, codes.FailedPrecondition, "Start after Stop")
	n.state(id, notReady)
	n.shutdown(id)
	_, err = n.api.Start(n.call(), &api.ControllerStartRequest{SandboxID: id})
	n.code(err, codes.NotFound, "Start after Shutdown")

	n.create(id) // the id is free again
	n.shutdown(id)

	p := n.pod()
	exit = n.wait(p.id)
	n.shutdown(p.id) // without Stop
	if w := <-exit; w.err != nil {
		n.Errorf("Wait that was blocked at Shutdown: %v", w.err)
	}
	if running(p.process) {
		n.Error("the pod's process runs after Shutdown")
	}
	n.stop(p.id)
}

func twice(n *node) {
	id := n.newID()
	n.create(id)
	_, err := n.api.Create(n.call(), n.createRequest(id))
	n.code(err, codes.AlreadyExists, "second Create")
	n.start(id)
	_, err = n.api.Create(n.call(), n.createRequest(id))
	n.code(err, codes.AlreadyExists, "Create of a running pod")
	_, err = n.api.Start(n.call(), &api.ControllerStartRequest{SandboxID: id})
	n.code(err, codes.FailedPrecondition, "second Start")
	n.state(id, ready)
	n.stop(id)
	first := n.waitEnd(id)
	n.stop(id)
	if second := n.waitEnd(id); !first.GetExitedAt().AsTime().Equal(second.GetExitedAt().AsTime()) || first.GetExitStatus() != second.GetExitStatus() {
		n.Errorf("Wait answered %v, then %v", first, second)
	}
	n.shutdown(id)
	n.shutdown(id)
}

func atTheSameTime(n *node) {
	const callers = 8
	id := n.newID()
	count := func(what string, call func(ctx context.Context) error) int {
		var wg sync.WaitGroup
		var mu sync.Mutex
		succeeded := 0
		for range callers {
			ctx := n.call()
			wg.Go(func() {
				err := call(ctx)
				mu.Lock()
				defer mu.Unlock()
				switch status.Code(err) {
				case codes.OK:
					succeeded++
				case codes.AlreadyExists, codes.FailedPrecondition:
				default:
					n.Errorf("%s: %v", what, err)
				}
			})
		}
		wg.Wait()
		return succeeded
	}
	r := n.createRequest(id)
	if c := count("Create", func(ctx context.Context) error { _, err := n.api.Create(ctx, r); return err }); c != 1 {
		n.Errorf("%d of %d Creates succeeded", c, callers)
	}
	start := &api.ControllerStartRequest{SandboxID: id}
	if c := count("Start", func(ctx context.Context) error { _, err := n.api.Start(ctx, start); return err }); c != 1 {
		n.Errorf("%d of %d Starts succeeded", c, callers)
	}
	n.state(id, ready)
	stop := &api.ControllerStopRequest{SandboxID: id}
	if c := count("Stop", func(ctx context.Context) error { _, err := n.api.Stop(ctx, stop); return err }); c != callers {
		n.Errorf("%d of %d Stops succeeded", c, callers)
	}
	shutdown := &api.ControllerShutdownRequest{SandboxID: id}
	if c := count("Shutdown", func(ctx context.Context) error { _, err := n.api.Shutdown(ctx, shutdown); return err }); c != callers {
		n.Errorf("%d of %d Shutdowns succeeded", c, callers)
	}

	// Different pods do not wait for one another.
	var wg sync.WaitGroup
	for range callers {
		id := n.newID()
		r := n.createRequest(id)
		ctx := n.call()
		wg.Go(func() {
			_, err := n.api.Create(ctx, r)
			if err == nil {
				_, err = n.api.Start(ctx, &api.ControllerStartRequest{SandboxID: id})
			}
			if err != nil {
				n.Errorf("pod %.8s: %v", id, err)
			}
			if _, err := n.api.Shutdown(ctx, &api.ControllerShutdownRequest{SandboxID: id}); err != nil {
				n.Errorf("Shutdown of pod %.8s: %v", id, err)
			}
		})
	}
	wg.Wait()
}

// abandoned gives up on calls after a random time, as a caller that was killed
// does, and stops pods while they start.
func abandoned(n *node) {
	for i := range 30 {
		id := n.newID()
		ctx, cancel := context.WithTimeout(n.ctx, time.Duration(rand.IntN(15_000))*time.Microsecond)
		if _, err := n.api.Create(ctx, n.createRequest(id)); err == nil {
			_, err = n.api.Start(ctx, &api.ControllerStartRequest{SandboxID: id})
			if c := status.Code(err); c != codes.OK && c != codes.DeadlineExceeded && c != codes.Canceled {
				n.Errorf("Start: %v", err)
			}
		} else if c := status.Code(err); c != codes.DeadlineExceeded && c != codes.Canceled {
			n.Errorf("Create: %v", err)
		}
		cancel()
		if i%2 == 0 {
			n.stop(id)
		}
		n.shutdown(id)
	}
	// Stop ends a Start that is going on; what could not be started is gone.
	for range 10 {
		id := n.newID()
		n.create(id)
		ctx := n.call()
		started := make(chan error, 1)
		go func() {
			_, err := n.api.Start(ctx, &api.ControllerStartRequest{SandboxID: id})
			started <- err
		}()
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		n.stop(id)
		switch err := <-started; status.Code(err) {
		case codes.OK, codes.FailedPrecondition:
			n.state(id, notReady)
			n.waitEnd(id)
		case codes.Canceled:
			_, err := n.api.Status(n.call(), &api.ControllerStatusRequest{SandboxID: id})
			n.code(err, codes.NotFound, "Status after a failed Start")
		default:
			n.Errorf("Start that Stop came to: %v", err)
		}
		n.shutdown(id)
	}
}

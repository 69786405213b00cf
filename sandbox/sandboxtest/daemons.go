package sandboxtest

import (
	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"google.golang.org/grpc/codes"

	"blazar/sandbox/task/taskapi"
)

// restart restarts the daemon under running pods.
func restart(n *node) {
	p := n.pod()
	c := p.container("cat")
	c.start()
	exit := n.wait(p.id)
	before := n.status(p.id)
	n.down()
	if w := <-exit; codeOf(w.err) != codes.Unavailable {
		n.Errorf("Wait that was blocked when the daemon ended: %v, want Unavailable, upon which containerd asks again", w.err)
	}
	// Without the daemon the pod and its Task API live on.
	_, err := c.stdin.Write([]byte("hello\n"))
	n.must(err)
	c.says("hello\n")
	n.boot()
	after := n.status(p.id)
	if after.GetState() != ready || after.GetPid() != before.GetPid() || after.GetAddress() != before.GetAddress() ||
		!after.GetCreatedAt().AsTime().Equal(before.GetCreatedAt().AsTime()) {
		n.Errorf("Status %v before the restart, %v after it", before, after)
	}
	n.metrics(p.id)
	again := n.dial(after.GetAddress())
	if _, err := taskapi.NewClient(again.client).Pids(n.call(), &taskapi.PidsRequest{Id: c.id}); err != nil {
		n.Errorf("Pids after the restart: %v", err)
	}
	n.reboot() // once more
	d := p.container("exit", "5")
	d.start()
	d.exits(5)
	d.remove()
	exit = n.wait(p.id)
	c.end()
	n.stop(p.id)
	if w := <-exit; w.err != nil {
		n.Errorf("Wait after the restart: %v", w.err)
	}
	n.state(p.id, notReady)
	n.shutdown(p.id)
}

// restartPhases restarts the daemon over pods in every phase.
func restartPhases(n *node) {
	created, stopped := n.newID(), n.newID()
	n.create(created)
	n.create(stopped)
	n.stop(stopped)
	ended := n.pod()
	n.stop(ended.id)
	want := n.waitEnd(ended.id)
	gone := n.pod()
	n.shutdown(gone.id)
	n.reboot()
	n.state(created, notReady)
	_, err := n.api.Create(n.call(), n.createRequest(created))
	n.code(err, codes.AlreadyExists, "Create of a pod that was created before the restart")
	p := n.start(created)
	n.state(created, ready)
	n.state(stopped, notReady)
	_, err = n.api.Start(n.call(), &api.ControllerStartRequest{SandboxID: stopped})
	n.code(err, codes.FailedPrecondition, "Start of a pod that was stopped before the restart")
	n.waitEnd(stopped)
	got := n.waitEnd(ended.id)
	if got.GetExitStatus() != want.GetExitStatus() || !got.GetExitedAt().AsTime().Equal(want.GetExitedAt().AsTime()) {
		n.Errorf("Wait answered %v before the restart, %v after it", want, got)
	}
	_, err = n.api.Status(n.call(), &api.ControllerStatusRequest{SandboxID: gone.id})
	n.code(err, codes.NotFound, "Status of a pod that was shut down before the restart")
	for _, id := range []string{p.id, stopped, ended.id} {
		n.shutdown(id)
	}
}

// endDuringRestart lets a pod die while there is no daemon.
func endDuringRestart(n *node) {
	p, q := n.pod(), n.pod()
	c := p.container("sleep")
	c.start()
	n.down()
	p.kill()
	n.eventually("the pod's process ends", func() bool { return !running(p.process) })
	n.boot()
	n.state(q.id, ready)
	n.waitEnd(p.id)
	n.state(p.id, notReady)
	st, err := n.api.Status(n.call(), &api.ControllerStatusRequest{SandboxID: p.id, Verbose: true})
	n.must(err)
	if st.GetInfo()["exit"] == "" {
		n.Errorf("the verbose status says nothing of the exit: %v", st.GetInfo())
	}
	_, err = n.api.Metrics(n.call(), &api.ControllerMetricsRequest{SandboxID: p.id})
	n.code(err, codes.NotFound, "Metrics of a pod that has died")
	n.stop(p.id)
	n.shutdown(p.id)
	c.closeIO()
	n.shutdown(q.id)
}

// deathOfPod kills a pod's process under the daemon.
func deathOfPod(n *node) {
	p := n.pod()
	c, d := p.container("sleep"), p.container("spin")
	c.start()
	d.start()
	exit := n.wait(p.id)
	p.kill()
	w := <-exit
	if w.err != nil {
		n.Errorf("Wait that was blocked at the death of the pod: %v", w.err)
	}
	n.state(p.id, notReady)
	n.hungUp(p, "the connection to the Task API lives on, upon the end of which containerd takes the containers for dead")
	st, err := n.api.Status(n.call(), &api.ControllerStatusRequest{SandboxID: p.id, Verbose: true})
	n.must(err)
	if st.GetInfo()["exit"] == "" {
		n.Errorf("the verbose status says nothing of the exit: %v", st.GetInfo())
	}
	if _, err := n.api.Start(n.call(), &api.ControllerStartRequest{SandboxID: p.id}); codeOf(err) != codes.FailedPrecondition {
		n.Errorf("Start of a pod that has died: %v", err)
	}
	n.stop(p.id)
	n.shutdown(p.id)
	c.closeIO()
	d.closeIO()
}

// deathOfMany kills some of many pods; the others do not notice.
func deathOfMany(n *node) {
	var pods []*pod
	for range 6 {
		pods = append(pods, n.pod())
	}
	for i, p := range pods {
		if i%2 == 0 {
			p.kill()
		}
	}
	for i, p := range pods {
		if i%2 == 0 {
			n.waitEnd(p.id)
			n.state(p.id, notReady)
		} else {
			n.state(p.id, ready)
		}
	}
	n.reboot()
	for i, p := range pods {
		want := ready
		if i%2 == 0 {
			want = notReady
		}
		n.state(p.id, want)
		n.shutdown(p.id)
	}
}

package sandboxtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/sandbox/controller"
	"blazar/sandbox/state"
)

// callTimeout bounds every call of the suite: whatever takes longer hangs.
const callTimeout = 30 * time.Second

// node is a daemon with one kind, and what runs under it.
type node struct {
	*testing.T
	suite   *suite
	harness *Harness
	ctx     context.Context
	dir     string // the suite's own
	before  *footprint
	ids     []string
	conns   []*taskConn

	// Of the daemon that runs now.
	api     api.ControllerClient
	endWith func()
	// conn outlives the daemon, so that calls get its last answers.
	conn *grpc.ClientConn
}

func newNode(t *testing.T, s *suite, h *Harness) *node {
	n := &node{T: t, suite: s, harness: h, dir: filepath.Join(h.Root, "t")}
	// Not the test's own context, which ends before the clean-up.
	n.ctx = namespaces.WithNamespace(context.WithoutCancel(t.Context()), "k8s.io")
	n.must(os.Mkdir(n.dir, 0o700))
	n.must(os.Mkdir(filepath.Join(h.Root, "s"), 0o700))
	n.before = n.measure()
	t.Cleanup(func() {
		if t.Failed() {
			n.removeAll()
		}
	})
	n.boot()
	return n
}

func (n *node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

// call is a context for one call.
func (n *node) call() context.Context {
	ctx, cancel := context.WithTimeout(n.ctx, callTimeout)
	n.Cleanup(cancel)
	return ctx
}

// boot starts the daemon.
func (n *node) boot() {
	n.Helper()
	store, err := state.Open(filepath.Join(n.harness.Root, "s"))
	n.must(err)
	kind, closeKind := n.harness.NewSandboxer(n)
	service, err := controller.New(kind, controller.Config{Store: store})
	n.must(err)
	n.must(service.Recover(n.ctx))
	socket := filepath.Join(n.harness.Root, "c.sock")
	server, err := controller.Listen(n.ctx, controller.Endpoint{Socket: socket, Service: service})
	n.must(err)
	ctx, cancel := context.WithCancel(n.ctx)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	n.must(err)
	n.hangUp()
	n.conn, n.api = conn, api.NewControllerClient(conn)
	n.endWith = func() {
		n.Helper()
		cancel()
		if err := <-served; err != nil {
			n.Errorf("the daemon did not end well: %v", err)
		}
		closeKind()
	}
}

func (n *node) hangUp() {
	n.Helper()
	if n.conn != nil {
		n.must(n.conn.Close())
		n.conn = nil
	}
}

// down ends the daemon and leaves the pods running: nothing is written at that, so
// it is the same for them as if the daemon had been killed.
func (n *node) down() {
	n.Helper()
	n.endWith()
	n.endWith = nil
}

func (n *node) reboot() {
	n.Helper()
	n.down()
	n.boot()
}

// end ends the case: no pod may be left, nor anything else.
func (n *node) end() {
	n.Helper()
	for _, c := range n.conns {
		c.close()
	}
	n.down()
	n.hangUp()
	n.checkLeaks()
}

// removeAll cleans up after a case that failed.
func (n *node) removeAll() {
	if n.endWith == nil {
		n.boot() // it failed without a daemon
	}
	for _, id := range n.ids {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		if _, err := n.api.Shutdown(ctx, &api.ControllerShutdownRequest{SandboxID: id}); err != nil {
			n.Logf("clean up: %v", err)
		}
		cancel()
	}
	for _, c := range n.conns {
		c.close()
	}
	n.down()
	n.hangUp()
}

// newID is an id as the CRI plugin makes them.
func (n *node) newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	id := hex.EncodeToString(b[:])
	n.ids = append(n.ids, id)
	return id
}

// createRequest is what the CRI plugin sends.
func (n *node) createRequest(id string) *api.ControllerCreateRequest {
	n.Helper()
	config, netns := &runtime.PodSandboxConfig{Metadata: &runtime.PodSandboxMetadata{Name: "pod", Uid: id, Namespace: "default"}}, ""
	if n.harness.Config != nil {
		config, netns = n.harness.Config(n, id)
	}
	options, err := typeurl.MarshalAnyToProto(config)
	n.must(err)
	return &api.ControllerCreateRequest{SandboxID: id, Options: options, NetnsPath: netns}
}

// code checks that a call failed as it should.
func (n *node) code(err error, want codes.Code, what string) {
	n.Helper()
	if got := status.Code(err); got != want {
		n.Errorf("%s: %v (%v), want %v", what, got, err, want)
	}
}

// eventually waits for a condition.
func (n *node) eventually(what string, ok func() bool) {
	n.Helper()
	for deadline := time.Now().Add(callTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	n.Fatalf("never: %s", what)
}

// codeOf is the code of an error.
func codeOf(err error) codes.Code { return status.Code(err) }

// empty says whether an Any holds nothing.
func empty(a *anypb.Any) bool { return a == nil || len(a.GetValue()) == 0 || a.GetTypeUrl() == "" }

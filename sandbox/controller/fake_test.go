package controller

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	cgroup1 "github.com/containerd/cgroups/v3/cgroup1/stats"
	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/log"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"blazar/sandbox"
	"blazar/sandbox/state"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(clientEnv); socket != "" {
		if err := client(socket); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// faulty is a kind whose sandboxes do what a test tells them, by id.
type faulty struct {
	mu        sync.Mutex // guards the fields below
	sandboxes map[string]*faultySandbox
	onCreate  map[string]func(ctx context.Context, r *sandbox.Request) error
	onRecover map[string]func(saved json.RawMessage) error
	behave    map[string]func(s *faultySandbox)
}

func newFaulty() *faulty {
	return &faulty{
		sandboxes: map[string]*faultySandbox{},
		onCreate:  map[string]func(context.Context, *sandbox.Request) error{},
		onRecover: map[string]func(json.RawMessage) error{},
		behave:    map[string]func(*faultySandbox){},
	}
}

func (f *faulty) Kind() string { return "faulty" }

func (f *faulty) Create(ctx context.Context, r *sandbox.Request) (sandbox.Sandbox, error) {
	f.mu.Lock()
	create := f.onCreate[r.ID]
	f.mu.Unlock()
	s := f.add(r)
	if create != nil {
		if err := create(ctx, r); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (f *faulty) Recover(_ context.Context, r *sandbox.Request, saved json.RawMessage) (sandbox.Sandbox, error) {
	f.mu.Lock()
	again := f.onRecover[r.ID]
	f.mu.Unlock()
	if again != nil {
		if err := again(saved); err != nil {
			return nil, err
		}
	}
	return f.add(r), nil
}

func (f *faulty) add(r *sandbox.Request) *faultySandbox {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := &faultySandbox{request: r, ended: make(chan struct{})}
	if behave := f.behave[r.ID]; behave != nil {
		behave(s)
	}
	f.sandboxes[r.ID] = s
	return s
}

func (f *faulty) get(id string) *faultySandbox {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sandboxes[id]
}

// faultySandbox ends when it is stopped.
type faultySandbox struct {
	request *sandbox.Request
	onStart func(ctx context.Context) error
	onStop  func(ctx context.Context) error
	onDel   func(ctx context.Context) error
	onWait  func(ctx context.Context) (*sandbox.Exit, error)
	metrics func() (proto.Message, error)

	once    sync.Once
	ended   chan struct{}
	deleted int
	updated *sandbox.Request
}

var (
	_ sandbox.Meter     = (*faultySandbox)(nil)
	_ sandbox.Describer = (*faultySandbox)(nil)
	_ sandbox.Updater   = (*faultySandbox)(nil)
)

func (s *faultySandbox) Start(ctx context.Context) (*sandbox.Started, error) {
	if s.onStart != nil {
		if err := s.onStart(ctx); err != nil {
			return nil, err
		}
	}
	return &sandbox.Started{Pid: uint32(os.Getpid()), Address: "ttrpc+unix:///x", Labels: map[string]string{"a": "b"}}, nil
}

func (s *faultySandbox) Stop(ctx context.Context) error {
	if s.onStop != nil {
		if err := s.onStop(ctx); err != nil {
			return err
		}
	}
	s.once.Do(func() { close(s.ended) })
	return nil
}

func (s *faultySandbox) Wait(ctx context.Context) (*sandbox.Exit, error) {
	if s.onWait != nil {
		return s.onWait(ctx)
	}
	select {
	case <-s.ended:
		return &sandbox.Exit{Status: 137, At: time.Now()}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *faultySandbox) Delete(ctx context.Context) error {
	if s.onDel != nil {
		if err := s.onDel(ctx); err != nil {
			return err
		}
	}
	s.deleted++
	s.once.Do(func() { close(s.ended) })
	return nil
}

func (s *faultySandbox) Metrics(context.Context) (proto.Message, error) {
	if s.metrics != nil {
		return s.metrics()
	}
	return &cgroup1.Metrics{}, nil
}

func (s *faultySandbox) Describe(context.Context) map[string]any {
	return map[string]any{"engine": "none", "info": "not ours", "paths": map[string]string{"a": "/b"}, "limit": 5, "kind": "a lie"}
}

func (s *faultySandbox) Update(_ context.Context, r *sandbox.Request) error {
	s.updated = r
	return nil
}

// daemon is a Service behind a real gRPC connection.
type daemon struct {
	*testing.T
	*faulty
	root    string
	service *Service
	api     api.ControllerClient
	end     func()
}

// timeouts that a test can wait for.
var quick = Timeouts{
	Stop: 200 * time.Millisecond, Delete: 200 * time.Millisecond,
	Unstarted: 200 * time.Millisecond, Retry: 20 * time.Millisecond,
}

func serve(t *testing.T, f *faulty, root string) *daemon {
	t.Helper()
	d := &daemon{T: t, faulty: f, root: root}
	store, err := state.Open(filepath.Join(root, "s"))
	d.must(err)
	d.service, err = New(f, Config{Store: store, Timeouts: quick, Info: map[string]string{"version": "1"}})
	d.must(err)
	d.must(d.service.Recover(t.Context()))
	socket := filepath.Join(root, "c.sock")
	ctx, cancel := context.WithCancel(context.Background())
	server, err := Listen(ctx, Endpoint{Socket: socket, Service: d.service})
	d.must(err)
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	d.must(err)
	d.api = api.NewControllerClient(conn)
	d.end = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		d.must(conn.Close())
	})
	t.Cleanup(d.end)
	return d
}

// root is a directory short enough for a socket.
func rootOf(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp("/tmp", "ctl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	})
	return root
}

func (d *daemon) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func (d *daemon) code(what string, err error, want codes.Code) {
	d.Helper()
	if got := status.Code(err); got != want {
		d.Errorf("%s: %v, want %v", what, err, want)
	}
}

func (d *daemon) call() context.Context {
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(d.Context(), "k8s.io"), 10*time.Second)
	d.Cleanup(cancel)
	return ctx
}

func (d *daemon) tryCreate(id string) error {
	_, err := d.api.Create(d.call(), &api.ControllerCreateRequest{SandboxID: id})
	return err
}

func (d *daemon) tryStart(id string) error {
	_, err := d.api.Start(d.call(), &api.ControllerStartRequest{SandboxID: id})
	return err
}

func (d *daemon) run(id string) {
	d.Helper()
	d.must(d.tryCreate(id))
	d.must(d.tryStart(id))
}

func (d *daemon) tryStop(id string) error {
	_, err := d.api.Stop(d.call(), &api.ControllerStopRequest{SandboxID: id})
	return err
}

func (d *daemon) tryShutdown(id string) error {
	_, err := d.api.Shutdown(d.call(), &api.ControllerShutdownRequest{SandboxID: id})
	return err
}

func (d *daemon) status(id string) *api.ControllerStatusResponse {
	d.Helper()
	r, err := d.api.Status(d.call(), &api.ControllerStatusRequest{SandboxID: id, Verbose: true})
	d.must(err)
	return r
}

func (d *daemon) wait(id string) *api.ControllerWaitResponse {
	d.Helper()
	r, err := d.api.Wait(d.call(), &api.ControllerWaitRequest{SandboxID: id})
	d.must(err)
	return r
}

// healthy lives the life of another pod: nothing holds it up.
func (d *daemon) healthy() {
	d.Helper()
	d.run("healthy")
	d.must(d.tryStop("healthy"))
	if got := d.wait("healthy").GetExitStatus(); got != 137 {
		d.Errorf("exit status %d", got)
	}
	d.must(d.tryShutdown("healthy"))
}

// eventually waits for a condition.
func (d *daemon) eventually(what string, ok func() bool) {
	d.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	d.Fatalf("never: %s", what)
}

// clean fails if there is state of any sandbox.
func (d *daemon) clean() {
	d.Helper()
	entries, err := os.ReadDir(filepath.Join(d.root, "s"))
	d.must(err)
	for _, e := range entries {
		d.Errorf("left behind: %s", e.Name())
	}
}

// clientEnv makes the test program a client of the socket it names: it starts pods
// and waits for them until its stdin ends.
const clientEnv = "BLAZAR_TEST_CLIENT"

const clientPods = 200

func client(socket string) error {
	log.L.Logger.SetLevel(log.ErrorLevel)
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	c := api.NewControllerClient(conn)
	ctx := namespaces.WithNamespace(context.Background(), "k8s.io")
	for i := range clientPods {
		id := fmt.Sprintf("%064d", i)
		if _, err := c.Create(ctx, &api.ControllerCreateRequest{SandboxID: id, Options: sampleOptions(id), NetnsPath: "/run/netns/x"}); err != nil {
			return err
		}
		if _, err := c.Start(ctx, &api.ControllerStartRequest{SandboxID: id}); err != nil {
			return err
		}
		go func() { _, _ = c.Wait(ctx, &api.ControllerWaitRequest{SandboxID: id}) }() // ends with the process
		if _, err := c.Metrics(ctx, &api.ControllerMetricsRequest{SandboxID: id}); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // its end is the end
	return conn.Close()
}

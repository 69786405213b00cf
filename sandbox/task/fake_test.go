package task

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	"github.com/containerd/ttrpc"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"blazar/sandbox/task/taskapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faulty is a runtime whose containers do what a test tells them, by id.
type faulty struct {
	mu         sync.Mutex // guards the fields below
	containers map[string]*faultyProcess
	create     map[string]func(ctx context.Context) error
	behave     map[string]func(p *faultyProcess)
}

func newFaulty() *faulty {
	return &faulty{
		containers: map[string]*faultyProcess{},
		create:     map[string]func(context.Context) error{},
		behave:     map[string]func(*faultyProcess){},
	}
}

func (f *faulty) Create(ctx context.Context, r *CreateRequest) (Container, error) {
	f.mu.Lock()
	create := f.create[r.ID]
	f.mu.Unlock()
	if create != nil {
		if err := create(ctx); err != nil {
			return nil, err
		}
	}
	return f.process(r.ID), nil
}

func (f *faulty) process(id string) *faultyProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &faultyProcess{faulty: f, id: id, ended: make(chan struct{}), deleted: make(chan struct{})}
	if behave := f.behave[id]; behave != nil {
		behave(p)
	}
	f.containers[id] = p
	return p
}

func (f *faulty) get(id string) *faultyProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.containers[id]
}

// faultyProcess ends when exit is called or, unless onKill is set, when it is killed.
type faultyProcess struct {
	faulty  *faulty
	id      string
	onStart func(ctx context.Context) error
	onKill  func(ctx context.Context, s syscall.Signal) error
	onWait  func(ctx context.Context) (Exit, error)
	onDel   func(ctx context.Context) error
	onStats func() (proto.Message, error)
	pidsOf  func() ([]uint32, error)
	oom     chan struct{}

	once    sync.Once
	ended   chan struct{}
	status  uint32
	deleted chan struct{}
}

func (p *faultyProcess) exit(status uint32) {
	p.once.Do(func() {
		p.status = status
		if p.oom != nil {
			close(p.oom)
		}
		close(p.ended)
	})
}

func (p *faultyProcess) Start(ctx context.Context) (uint32, error) {
	if p.onStart != nil {
		if err := p.onStart(ctx); err != nil {
			return 0, err
		}
	}
	return 4242, nil
}

func (p *faultyProcess) Kill(ctx context.Context, s syscall.Signal, _ bool) error {
	if p.onKill != nil {
		return p.onKill(ctx, s)
	}
	p.exit(128 + uint32(s))
	return nil
}

func (p *faultyProcess) Wait(ctx context.Context) (Exit, error) {
	if p.onWait != nil {
		return p.onWait(ctx)
	}
	select {
	case <-p.ended:
		return Exit{Status: p.status, At: time.Now()}, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}

func (p *faultyProcess) Delete(ctx context.Context) error {
	if p.onDel != nil {
		if err := p.onDel(ctx); err != nil {
			return err
		}
	}
	close(p.deleted) // panics the second time
	return nil
}

func (p *faultyProcess) Exec(_ context.Context, r *ExecRequest) (Process, error) {
	return p.faulty.process(p.id + "/" + r.ID), nil
}

func (p *faultyProcess) OOM() <-chan struct{} {
	if p.oom == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return p.oom
}

func (p *faultyProcess) Stats(context.Context) (proto.Message, error) {
	if p.onStats == nil {
		return nil, nil
	}
	return p.onStats()
}

func (p *faultyProcess) Pids(context.Context) ([]uint32, error) {
	if p.pidsOf == nil {
		return nil, fmt.Errorf("nothing known: %w", errdefs.ErrNotFound)
	}
	return p.pidsOf()
}

// recorder keeps what was published.
type recorder struct {
	mu     sync.Mutex // guards the fields below
	topics []string
	events []*anypb.Any
	fail   func() error
}

func (r *recorder) Publish(_ context.Context, topic string, e *anypb.Any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		if err := r.fail(); err != nil {
			return err
		}
	}
	r.topics, r.events = append(r.topics, topic), append(r.events, e)
	return nil
}

func (r *recorder) published() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.topics)
}

// server is a Server behind a real ttrpc connection.
type server struct {
	*testing.T
	*faulty
	*recorder
	task   *Server
	client *taskapi.Client
	dial   func() *ttrpc.Client
}

func serve(t *testing.T, o Options) *server {
	t.Helper()
	f, r := newFaulty(), &recorder{}
	if o.Publisher == nil {
		o.Publisher = r
	}
	s := NewServer(f, o)
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	rpc, err := ttrpc.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	s.Register(rpc)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = rpc.Serve(context.Background(), listener) // ends with Close
	}()
	var conns []*ttrpc.Client
	dial := func() *ttrpc.Client {
		t.Helper()
		conn, err := net.Dial("unix", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, ttrpc.NewClient(conn))
		return conns[len(conns)-1]
	}
	x := &server{T: t, faulty: f, recorder: r, task: s, dial: dial}
	x.client = taskapi.NewClient(dial())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, c := range conns {
			_ = c.Close() // the test may have closed it
		}
		if err := rpc.Close(); err != nil {
			t.Error(err)
		}
		<-served
	})
	return x
}

func (s *server) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *server) is(what string, err error, is func(error) bool) {
	s.Helper()
	if !is(err) {
		s.Errorf("%s: %v", what, err)
	}
}

// call is a context for a call that must not hang.
func (s *server) call() context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
	s.Cleanup(cancel)
	return ctx
}

// soon is a context for a call that hangs.
func (s *server) soon() context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), 50*time.Millisecond)
	s.Cleanup(cancel)
	return ctx
}

func (s *server) create(id string) {
	s.Helper()
	s.must(identifiers.Validate(id))
	_, err := s.client.Create(s.call(), &taskapi.CreateTaskRequest{Id: id, Bundle: "/"})
	s.must(err)
}

func (s *server) start(id string) {
	s.Helper()
	s.create(id)
	_, err := s.client.Start(s.call(), &taskapi.StartRequest{Id: id})
	s.must(err)
}

func (s *server) kill(ctx context.Context, id string) error {
	return s.client.Kill(ctx, &taskapi.KillRequest{Id: id, Signal: uint32(syscall.SIGKILL)})
}

func (s *server) delete(ctx context.Context, id string) error {
	_, err := s.client.Delete(ctx, &taskapi.DeleteRequest{Id: id})
	return err
}

func (s *server) exits(id string, want uint32) {
	s.Helper()
	r, err := s.client.Wait(s.call(), &taskapi.WaitRequest{Id: id})
	s.must(err)
	if r.GetExitStatus() != want {
		s.Errorf("%s exited with %d, want %d", id, r.GetExitStatus(), want)
	}
}

func (s *server) state(id string) taskapi.Status {
	s.Helper()
	r, err := s.client.State(s.call(), &taskapi.StateRequest{Id: id})
	s.must(err)
	return r.GetStatus()
}

// healthy lives the life of another container: nothing holds it up.
func (s *server) healthy() {
	s.Helper()
	s.start("healthy")
	s.must(s.kill(s.call(), "healthy"))
	s.exits("healthy", 137)
	s.must(s.delete(s.call(), "healthy"))
}

func (s *server) eventually(what string, ok func() bool) {
	s.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	s.Fatalf("never: %s", what)
}

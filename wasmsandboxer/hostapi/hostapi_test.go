package hostapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"blazar/internal/testneeds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair makes the two ends of a connection.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		out[i] = c.(*net.UnixConn)
		t.Cleanup(func() { _ = c.Close() })
	}
	return out[0], out[1]
}

// handlerFunc makes a Handler of a function.
type handlerFunc func(ctx context.Context, method string, body []byte) (any, []*os.File, error)

func (f handlerFunc) Handle(ctx context.Context, method string, body []byte) (any, []*os.File, error) {
	return f(ctx, method, body)
}

// connect serves h to a client and ends both with the test.
func connect(t *testing.T, h Handler) *Client {
	t.Helper()
	daemon, task := pair(t)
	cl := NewClient()
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() { cl.Attach(task) })
	wg.Go(func() { _ = Serve(ctx, daemon, h) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return cl
}

func TestCallCarriesBodyAndFiles(t *testing.T) {
	cl := connect(t, handlerFunc(func(_ context.Context, method string, body []byte) (any, []*os.File, error) {
		var q RemoveRequest
		if err := Decode(body, &q); err != nil {
			return nil, nil, err
		}
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil, err
		}
		_, err = w.WriteString(method + " " + q.Container)
		return map[string]string{"echo": q.Container}, []*os.File{r, w}, err
	}))
	var reply struct{ Echo string }
	files, err := cl.Call(t.Context(), "remove", RemoveRequest{Container: "abc"}, &reply)
	if err != nil {
		t.Fatal(err)
	}
	if reply.Echo != "abc" || len(files) != 2 {
		t.Fatalf("reply %+v with %d files", reply, len(files))
	}
	_ = files[1].Close()
	defer func() { _ = files[0].Close() }()
	b, err := io.ReadAll(files[0])
	if err != nil || string(b) != "remove abc" {
		t.Errorf("file holds %q, %v", b, err)
	}
}

func TestLargeReplySpills(t *testing.T) {
	want := strings.Repeat("<&>x", 1<<18)
	cl := connect(t, handlerFunc(func(context.Context, string, []byte) (any, []*os.File, error) {
		r, w, err := os.Pipe()
		if err == nil {
			_ = w.Close()
		}
		return want, []*os.File{r}, err
	}))
	var got string
	files, err := cl.Call(t.Context(), "m", struct{}{}, &got)
	if err != nil {
		t.Fatal(err)
	}
	if got != want || len(files) != 1 {
		t.Errorf("got %d bytes and %d files", len(got), len(files))
	}
	closeAll(files)
}

func TestErrorsKeepTheirKind(t *testing.T) {
	for _, k := range kinds {
		cl := connect(t, handlerFunc(func(context.Context, string, []byte) (any, []*os.File, error) {
			return nil, nil, fmt.Errorf("container x: %w", k.err)
		}))
		_, err := cl.Call(t.Context(), "m", struct{}{}, nil)
		if !errors.Is(err, k.err) || err.Error() != "container x: "+k.err.Error() {
			t.Errorf("%s came as %v", k.name, err)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	cl := connect(t, handlerFunc(func(context.Context, string, []byte) (any, []*os.File, error) { panic("boom") }))
	for range 2 {
		if _, err := cl.Call(t.Context(), "m", struct{}{}, nil); err == nil || strings.Contains(err.Error(), "boom") {
			t.Errorf("got %v", err)
		}
	}
}

func TestManyCallsAtOnce(t *testing.T) {
	cl := connect(t, handlerFunc(func(_ context.Context, _ string, body []byte) (any, []*os.File, error) {
		time.Sleep(time.Millisecond)
		return json.RawMessage(body), nil, nil
	}))
	var wg sync.WaitGroup
	for i := range 4 * MaxInFlight {
		wg.Go(func() {
			var got int
			if _, err := cl.Call(t.Context(), "m", i, &got); err != nil || got != i {
				t.Errorf("asked %d, got %d, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

func TestCallGivesUpWithItsContext(t *testing.T) {
	cl := connect(t, handlerFunc(func(ctx context.Context, _ string, _ []byte) (any, []*os.File, error) {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := cl.Call(ctx, "m", struct{}{}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCallWithoutDaemon(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := NewClient().Call(ctx, "m", struct{}{}, nil); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// A daemon dies in the middle of a call, another one connects: the call is asked
// again and answered.
func TestRestartedDaemonAnswers(t *testing.T) {
	testneeds.Root(t) // a client takes root alone for the daemon
	path := filepath.Join(t.TempDir(), "host.sock")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	cl := NewClient()
	var wg sync.WaitGroup
	wg.Go(func() { cl.Accept(context.Background(), l) })
	defer wg.Wait()
	defer func() { _ = l.Close() }()

	dial := func() *net.UnixConn {
		c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := dial()
	asked := make(chan struct{})
	var once sync.Once
	ctx, cancel := context.WithCancel(context.Background())
	wg.Go(func() {
		_ = Serve(ctx, first, handlerFunc(func(ctx context.Context, _ string, _ []byte) (any, []*os.File, error) {
			once.Do(func() { close(asked) })
			<-ctx.Done()
			return nil, nil, ctx.Err()
		}))
	})
	answer := make(chan error, 1)
	go func() {
		var got string
		_, err := cl.Call(t.Context(), "m", struct{}{}, &got)
		if err == nil && got != "second" {
			err = fmt.Errorf("got %q", got)
		}
		answer <- err
	}()
	<-asked
	cancel() // the first daemon is gone
	second := dial()
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	wg.Go(func() {
		_ = Serve(ctx, second, handlerFunc(func(context.Context, string, []byte) (any, []*os.File, error) {
			return "second", nil, nil
		}))
	})
	select {
	case err := <-answer:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the call was never answered")
	}
}

func TestHello(t *testing.T) {
	daemon, task := pair(t)
	want := Hello{Sandbox: "s", Namespace: "n", Pid: 7, CgroupV2: true}
	if err := SendHello(daemon, want); err != nil {
		t.Fatal(err)
	}
	if got, _, err := ReceiveHello(task); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	_ = daemon.Close()
	if _, _, err := ReceiveHello(task); !errors.Is(err, io.EOF) {
		t.Errorf("from a dead daemon: %v", err)
	}
}

// What a wasm-task that was taken over may send ends its connection and nothing
// else: no handler runs, no descriptor stays.
func TestServeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"no JSON":         []byte("{"),
		"unknown field":   []byte(`{"id":1,"method":"m","root":"/"}`),
		"second value":    []byte(`{"id":1,"method":"m"} {}`),
		"an answer":       []byte(`{"id":1}`),
		"spilled":         []byte(`{"id":1,"method":"m","spilled":true}`),
		"too large":       bytes.Repeat([]byte(" "), MaxPacket+10),
		"negative id":     []byte(`{"id":-1,"method":"m"}`),
		"deep nesting":    append([]byte(`{"id":1,"method":"m","body":`), bytes.Repeat([]byte("["), 20000)...),
		"error in it":     []byte(`{"id":1,"method":"m","error":{"message":"x"}}`),
		"wrong body type": []byte(`"m"`),
	} {
		t.Run(name, func(t *testing.T) {
			daemon, task := pair(t)
			if _, err := task.Write(b); err != nil {
				t.Fatal(err)
			}
			err := Serve(t.Context(), daemon, handlerFunc(func(context.Context, string, []byte) (any, []*os.File, error) {
				t.Error("the handler was asked")
				return nil, nil, nil
			}))
			if !errors.Is(err, errdefs.ErrInvalidArgument) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("files", func(t *testing.T) {
		daemon, task := pair(t)
		if _, _, err := task.WriteMsgUnix([]byte(`{"id":1,"method":"m"}`), unix.UnixRights(0), nil); err != nil {
			t.Fatal(err)
		}
		if err := Serve(t.Context(), daemon, nil); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"id":1,"method":"prepare","body":{"container":"x","stdio":{}}}`))
	f.Add([]byte(`{"id":18446744073709551615,"method":"event","body":{"topic":"/tasks/exit","type":"t","value":"AA=="}}`))
	f.Add([]byte(`{"id":1,"spilled":true}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newConn(nil, true)
		var files []*os.File
		p, err := c.parse(b, 0, &files)
		if err != nil {
			if p != nil {
				t.Error("an error and a packet")
			}
			return
		}
		for _, v := range []any{&PrepareRequest{}, &ExecRequest{}, &RemoveRequest{}, &EventRequest{}} {
			_ = Decode(p.Body, v)
		}
		out, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := c.parse(out, 0, &files); err != nil || q.ID != p.ID || q.Method != p.Method {
			t.Errorf("%s became %s: %v", b, out, err)
		}
	})
}

// Command wasm-task is a wasm pod: it serves containerd's Task API and runs the
// guests. It is started by `blazar serve` with every privilege already gone (package
// internal/confine), and with three sockets: 3 to the host service in the daemon, 4
// to serve the Task API on, 5 where a restarted daemon connects. A worker, which runs
// one container for the wasm-task of its pod, is the same program, whose 4 is its
// connection to that one.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/containerd/log"
	"github.com/containerd/ttrpc"

	"blazar/cmd/internal/builtin"
	"blazar/engines"
	"blazar/internal/confine/boot"
	"blazar/sandbox/task"
	"blazar/wasmsandboxer/hostapi"
	"blazar/wasmsandboxer/wasmtask"
)

func init() {
	// The main thread cannot end: it must never become a guest's.
	runtime.LockOSThread()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "wasm-task:", err)
		os.Exit(1)
	}
}

// maxThreads bounds the threads of all guests; Go's own limit ends the process at
// 10,000.
const maxThreads = 100_000

func run() error {
	if !boot.Confined() {
		return errors.New("this program is a wasm pod and is started by `blazar serve` alone")
	}
	signal.Ignore(syscall.SIGPIPE)
	debug.SetMaxThreads(maxThreads)
	log.L.Logger.SetOutput(patientWriter{os.Stderr})

	daemon, err := unixConn(3)
	if err != nil {
		return err
	}
	registry := builtin.Engines()
	hello, cgroups, err := awaitPod(daemon, registry)
	if errors.Is(err, io.EOF) {
		return nil // the daemon died before it could record this process, or had no pod for it
	}
	if err != nil {
		return err
	}
	if err := log.SetLevel(hello.LogLevel); hello.LogLevel != "" && err != nil {
		return err
	}
	tasks, err := taskListener(4, hello)
	if err != nil {
		return err
	}
	daemons, err := listener(5)
	if err != nil {
		return err
	}
	client := hostapi.NewClient()
	rt := wasmtask.New(enterCgroups(client, cgroups), registry, hello)
	return serve(daemon, tasks, daemons, client, rt, hello)
}

// awaitPod waits until the daemon says which pod this is. A wasm-task that is started
// before there is one does meanwhile what every pod needs.
func awaitPod(daemon *net.UnixConn, registry *engines.Registry) (hostapi.Hello, []*os.File, error) {
	first, err := hostapi.ReceiveFirst(daemon)
	if err != nil || first.Hello != nil {
		return *cmp.Or(first.Hello, &hostapi.Hello{}), first.Tasks, err
	}
	if engine := first.Standby.Engine; engine != "" {
		if err := rehearseGuest(registry, engine, first.Standby.Artifact); err != nil {
			return hostapi.Hello{}, nil, err
		}
	}
	rehearse(registry)
	if err := hostapi.SendReady(daemon); err != nil {
		return hostapi.Hello{}, nil, err
	}
	return hostapi.ReceiveHello(daemon)
}

// serve never returns unless something is wrong: the pod ends by SIGKILL. A worker
// ends with its connection, also when the pod or its daemon are gone.
func serve(daemon *net.UnixConn, tasks net.Listener, daemons *net.UnixListener, client *hostapi.Client, rt *wasmtask.Runtime, hello hostapi.Hello) error {
	ctx := context.Background()
	go client.Attach(daemon)
	go client.Accept(ctx, daemons)
	t, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	options := task.Options{Publisher: wasmtask.Publisher{Host: client}, Pid: hello.Pid, Runtime: "wasm"}
	if hello.Container != "" {
		feed := wasmtask.NewFeed()
		feed.Register(t)
		options.Publisher = feed
	}
	task.NewServer(rt, options).Register(t)
	err = t.Serve(ctx, tasks)
	if hello.Container != "" && errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// taskListener is where the Task API is served.
func taskListener(fd uintptr, hello hostapi.Hello) (net.Listener, error) {
	if hello.Container == "" {
		return listener(fd)
	}
	f := os.NewFile(fd, "pod")
	defer func() { _ = f.Close() }() // the listener has its own
	l, err := wasmtask.NewSingle(f)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return l, nil
}

func unixConn(fd uintptr) (*net.UnixConn, error) {
	f := os.NewFile(fd, "host service")
	defer func() { _ = f.Close() }() // FileConn has its own
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("descriptor %d is no unix socket", fd)
	}
	return u, nil
}

func listener(fd uintptr) (*net.UnixListener, error) {
	f := os.NewFile(fd, "listener")
	defer func() { _ = f.Close() }() // FileListener has its own
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		return nil, fmt.Errorf("descriptor %d is no unix socket", fd)
	}
	return u, nil
}

// patientWriter gives a log line to the daemon, and up when no daemon reads.
type patientWriter struct{ f *os.File }

// Write never fails: a line that cannot be written is lost.
func (w patientWriter) Write(p []byte) (int, error) {
	_ = w.f.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	_, _ = w.f.Write(p)
	return len(p), nil
}

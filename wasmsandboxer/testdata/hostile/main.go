// Command hostile is a wasm-task that was taken over: it is confined like one and
// does to the daemon what the pod's id names.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	_ "blazar/internal/confine/boot"
	"blazar/wasmsandboxer/hostapi"
)

func main() {
	f := os.NewFile(3, "host service")
	c, err := net.FileConn(f)
	if err != nil {
		os.Exit(2)
	}
	conn := c.(*net.UnixConn)
	hello, _, err := hostapi.ReceiveHello(conn)
	if err != nil {
		os.Exit(3)
	}
	attack, _, _ := strings.Cut(hello.Sandbox, ".")
	switch attack {
	case "babble":
		for line := []byte(strings.Repeat("b", 200) + "\n"); ; {
			if _, err := os.Stderr.Write(line); err != nil {
				time.Sleep(time.Millisecond)
			}
		}
	case "flood":
		flood(conn)
	case "descriptors":
		descriptors(conn)
	case "garbage":
		for {
			if _, err := conn.Write([]byte(strings.Repeat(`{"id":`, 1000))); err != nil {
				reconnected()
			}
		}
	case "terminals":
		terminals(conn, hello)
	}
	select {} // answers nobody and does not end
}

// flood asks everything about everything and reads no answer.
func flood(conn *net.UnixConn) {
	for i := 0; ; i++ {
		for _, id := range []string{"victim", fmt.Sprint("none", i), "../../x", strings.Repeat("x", 5000)} {
			for method, body := range map[string]any{
				hostapi.MethodPrepare: hostapi.PrepareRequest{Container: id, Stdio: hostapi.Stdio{Stdout: "/etc/passwd"}},
				hostapi.MethodExec:    hostapi.ExecRequest{Container: id, Exec: "x", Command: "/x"},
				hostapi.MethodUpdate:  hostapi.UpdateRequest{Container: id},
				hostapi.MethodRemove:  hostapi.RemoveRequest{Container: id},
				hostapi.MethodReport:  hostapi.ReportRequest{Container: id, Message: strings.Repeat("\x01", 20000)},
				hostapi.MethodEvent:   hostapi.EventRequest{Topic: "/tasks/exit", Type: "containerd.events.TaskExit", Value: []byte("\x0a\x06victim")},
			} {
				b, _ := json.Marshal(body)
				q, _ := json.Marshal(map[string]any{"id": i, "method": method, "body": json.RawMessage(b)})
				if _, err := conn.Write(q); err != nil {
					conn = reconnected()
				}
			}
		}
	}
}

// descriptors sends as many as fit.
func descriptors(conn *net.UnixConn) {
	fds := make([]int, 250)
	for i := range fds {
		fds[i] = 2
	}
	for {
		if _, _, err := conn.WriteMsgUnix([]byte(`{"id":1,"method":"remove"}`), unix.UnixRights(fds...), nil); err != nil {
			conn = reconnected()
		}
	}
}

// reconnected takes the daemon's next connection.
func reconnected() *net.UnixConn {
	f := os.NewFile(5, "daemons")
	l, err := net.FileListener(f)
	if err != nil {
		os.Exit(4)
	}
	defer func() { _ = l.Close() }()
	c, err := l.Accept()
	if err != nil {
		os.Exit(5)
	}
	return c.(*net.UnixConn)
}

// terminals takes as many terminals as it is given and keeps them.
func terminals(conn *net.UnixConn, hello hostapi.Hello) {
	cl := hostapi.NewClient()
	go cl.Attach(conn)
	id := hello.Sandbox + "-c"
	ctx := context.Background()
	if _, err := cl.Call(ctx, hostapi.MethodPrepare, hostapi.PrepareRequest{Container: id}, nil); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		return
	}
	kept := 0
	for {
		files, err := cl.Call(ctx, hostapi.MethodExec, hostapi.ExecRequest{
			Container: id, Exec: "x", Command: "/guest.wasm", Stdio: hostapi.Stdio{Terminal: true},
		}, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, "kept", kept, "terminals:", err)
			return
		}
		kept += len(files) / 2
		if kept == 200 {
			fmt.Fprintln(os.Stderr, "kept", kept, "terminals")
			return
		}
	}
}

//go:build linux && cgo

// Command probe is what the tests of package confine run confined: it answers one
// request per packet on descriptor 3, trying what a confined process must not be
// able to do (deny.go) and what it must (exercise.go).
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"blazar/internal/confine/boot"
)

// Report is the answer to every request.
type Report struct {
	Confined bool              `json:"confined"`
	Env      []string          `json:"env"`
	Results  map[string]string `json:"results,omitempty"`
	Error    string            `json:"error,omitempty"`
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "exit" {
		code, _ := strconv.Atoi(os.Args[2])
		os.Exit(code)
	}
	c, err := net.FileConn(os.NewFile(3, "control"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	b := make([]byte, 4096)
	for {
		n, err := c.Read(b)
		if err != nil {
			os.Exit(0) // the test has gone
		}
		r := answer(strings.Fields(string(b[:n])))
		r.Confined, r.Env = boot.Confined(), os.Environ()
		out, err := json.Marshal(r)
		if err == nil {
			_, err = c.Write(out)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func answer(request []string) (r Report) {
	var err error
	switch request[0] {
	case "hello":
		var u unix.Utsname
		err = unix.Uname(&u)
		r.Results = map[string]string{"hostname": unix.ByteSliceToString(u.Nodename[:])}
	case "deny": // deny DAEMON-PID PATH…
		pid, _ := strconv.Atoi(request[1])
		r.Results = deny(pid, request[2:])
	case "fds":
		r.Results = descriptors()
	case "exercise": // exercise DIRECTORY
		err = exercise(request[1])
	case "write": // write PATH
		err = os.WriteFile(request[1], []byte("probe"), 0o644)
	case "read":
		var b []byte
		b, err = os.ReadFile(request[1])
		r.Results = map[string]string{"content": string(b)}
	case "nilderef":
		err = nilderef()
	case "abort":
		panic("asked to")
	default:
		err = fmt.Errorf("unknown request %q", request)
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// descriptors are those that are open, and whether one leads to a directory.
func descriptors() map[string]string {
	m := map[string]string{}
	for fd := range 1024 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			m[strconv.Itoa(fd)] = name(err)
			continue
		}
		kind := map[uint32]string{
			unix.S_IFSOCK: "socket", unix.S_IFCHR: "char", unix.S_IFREG: "file", unix.S_IFIFO: "fifo", unix.S_IFDIR: "dir",
		}[st.Mode&unix.S_IFMT]
		if kind == "" { // epoll and eventfd have no type
			kind = "anon"
		}
		m[strconv.Itoa(fd)] = kind
	}
	return m
}

// name is the symbolic name of an errno, "ok" without one.
func name(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		if e == 0 {
			return "ok"
		}
		if n := unix.ErrnoName(e); n != "" {
			return n
		}
	}
	return err.Error()
}

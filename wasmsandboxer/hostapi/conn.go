package hostapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// packet is one message. A request has a method; anything else is an answer.
type packet struct {
	ID     uint64          `json:"id"`
	Method string          `json:"method,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Error  *Error          `json:"error,omitempty"`
	// Spilled says that the body is in the last file.
	Spilled bool `json:"spilled,omitempty"`
}

// conn sends and receives packets. One goroutine may receive, any may send.
type conn struct {
	c    *net.UnixConn
	send sync.Mutex // keeps senders in turn; held during one non-blocking-size sendmsg
	// strict is the daemon's side: it refuses fields it does not know and takes no
	// files, and it alone sends large bodies.
	strict bool
}

func newConn(c *net.UnixConn, strict bool) *conn { return &conn{c: c, strict: strict} }

// answerTimeout, which tests change, bounds how long the daemon waits for room in the socket of a
// wasm-task that does not read its answers.
var answerTimeout = 30 * time.Second

// buffers take one packet. They are taken when one has come, so that connections on
// which nothing happens, which is most of them, have none.
var buffers = sync.Pool{New: func() any {
	return &buffer{data: make([]byte, MaxPacket+1), oob: make([]byte, unix.CmsgSpace(4*MaxFiles))}
}}

type buffer struct{ data, oob []byte }

// write sends p with files, which stay the caller's.
func (c *conn) write(p *packet, files []*os.File) error {
	if len(p.Body) > MaxPacket/2 {
		if !c.strict {
			return protocolError("request of %d bytes is too large", len(p.Body))
		}
		f, err := spill(p.Body)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		p.Body, p.Spilled = nil, true
		files = append(files[:len(files):len(files)], f)
	}
	b, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	if len(b) > MaxPacket || len(files) > MaxFiles {
		return protocolError("message of %d bytes and %d files is too large", len(b), len(files))
	}
	var oob []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			if fds[i], err = descriptor(f); err != nil {
				return fmt.Errorf("send %s: %w", f.Name(), err)
			}
		}
		oob = unix.UnixRights(fds...)
	}
	c.send.Lock()
	defer c.send.Unlock()
	if c.strict {
		if err := c.c.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
	}
	_, _, err = c.c.WriteMsgUnix(b, oob, nil)
	return err
}

// read receives one packet. io.EOF when the other side is gone.
func (c *conn) read() (*packet, []*os.File, error) {
	b, n, on, flags, err := c.receive()
	if err != nil {
		return nil, nil, err
	}
	defer buffers.Put(b)
	files, err := parseFiles(b.oob[:on])
	if err != nil {
		return nil, nil, err
	}
	p, err := c.parse(b.data[:n], flags, &files)
	if err != nil {
		closeAll(files)
		return nil, nil, err
	}
	return p, files, nil
}

// receive waits for a packet. The caller gives the buffer back.
func (c *conn) receive() (b *buffer, n, on, flags int, err error) {
	raw, err := c.c.SyscallConn()
	if err != nil {
		return nil, 0, 0, 0, err
	}
	var rerr error
	err = raw.Read(func(fd uintptr) bool {
		b = buffers.Get().(*buffer)
		for {
			n, on, flags, _, rerr = unix.Recvmsg(int(fd), b.data, b.oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
			if !errors.Is(rerr, unix.EINTR) {
				break
			}
		}
		if rerr != nil {
			buffers.Put(b)
			b = nil // or whoever waits keeps it, and every connection one of its own
		}
		return !errors.Is(rerr, unix.EAGAIN)
	})
	if err == nil && rerr != nil {
		err = os.NewSyscallError("recvmsg", rerr)
	}
	return b, n, on, flags, err
}

func (c *conn) parse(b []byte, flags int, files *[]*os.File) (*packet, error) {
	if len(b) == 0 && len(*files) == 0 {
		return nil, io.EOF
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return nil, protocolError("message larger than %d bytes or %d files", MaxPacket, MaxFiles)
	}
	if c.strict && len(*files) > 0 {
		return nil, protocolError("unexpected files in a request")
	}
	p := &packet{}
	if err := decode(b, p, c.strict); err != nil {
		return nil, err
	}
	if !p.Spilled {
		return p, nil
	}
	if c.strict || len(*files) == 0 {
		return nil, protocolError("unexpected spilled body")
	}
	last := len(*files) - 1
	f := (*files)[last]
	*files = (*files)[:last]
	defer func() { _ = f.Close() }()
	body, err := unspill(f)
	if err != nil {
		return nil, err
	}
	p.Body = body
	return p, nil
}

// decode reads exactly one JSON value into v.
func decode(b []byte, v any, strict bool) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(v); err != nil {
		return protocolError("%v", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return protocolError("text behind the message")
	}
	return nil
}

// Decode is how a handler reads a request's body: unknown fields are errors.
func Decode(body []byte, v any) error {
	if len(body) == 0 {
		return protocolError("no body")
	}
	return decode(body, v, true)
}

package hostapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"
)

// Client is the wasm-task's end. It outlives connections: while no daemon is
// connected calls wait, and what was in flight is asked again. Safe for concurrent
// use.
type Client struct {
	mu   sync.Mutex // guards the fields below
	cur  *session
	next chan struct{} // closed when cur is replaced
}

// session is one connection.
type session struct {
	conn *conn
	done chan struct{} // closed when the connection is gone

	mu      sync.Mutex // guards the fields below
	lastID  uint64
	pending map[uint64]chan answered
}

type answered struct {
	packet *packet
	files  []*os.File
}

// NewClient makes a client without a connection.
func NewClient() *Client { return &Client{next: make(chan struct{})} }

// Attach makes c the connection that calls use from now on and returns when it is
// gone. The caller runs it on a goroutine of its own.
func (cl *Client) Attach(c *net.UnixConn) {
	s := &session{conn: newConn(c, false), done: make(chan struct{}), pending: map[uint64]chan answered{}}
	cl.mu.Lock()
	old := cl.cur
	cl.cur = s
	close(cl.next)
	cl.next = make(chan struct{})
	cl.mu.Unlock()
	if old != nil {
		_ = old.conn.c.Close() // a new daemon took over; its reader ends the session
	}
	s.read()
	close(s.done)
	_ = c.Close()
}

// Accept attaches every connection that root makes to l, one after the other,
// until l is closed. This is how a restarted daemon comes back.
func (cl *Client) Accept(ctx context.Context, l *net.UnixListener) {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				log.G(ctx).WithError(err).Error("cannot take connections of a restarted daemon any more")
			}
			return
		}
		if err := checkPeer(c); err != nil {
			log.G(ctx).WithError(err).Warn("refused a connection to the host service socket")
			_ = c.Close()
			continue
		}
		sessions.Go(func() { cl.Attach(c) })
	}
}

// checkPeer lets only root be the daemon; the socket's directory is closed to
// everybody else already.
func checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		cred, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if optErr != nil {
		return fmt.Errorf("credentials of the peer: %w", optErr)
	}
	if cred.Uid != 0 {
		return fmt.Errorf("peer has uid %d, not root's: %w", cred.Uid, errdefs.ErrPermissionDenied)
	}
	return nil
}

// Call asks and waits for the answer, which it decodes into reply (nil for none).
// The files are the caller's. Without a daemon it waits for one as long as ctx
// lives.
func (cl *Client) Call(ctx context.Context, method string, body, reply any) ([]*os.File, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	for {
		s, err := cl.session(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		a, err := s.ask(ctx, method, b)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", method, err)
		}
		if a.packet.Error != nil {
			closeAll(a.files)
			return nil, a.packet.Error.decode()
		}
		if reply != nil {
			if err := decode(a.packet.Body, reply, false); err != nil {
				closeAll(a.files)
				return nil, err
			}
		}
		return a.files, nil
	}
}

// session is the live connection, waited for if need be.
func (cl *Client) session(ctx context.Context) (*session, error) {
	for {
		cl.mu.Lock()
		s, next := cl.cur, cl.next
		cl.mu.Unlock()
		if s != nil {
			select {
			case <-s.done:
			default:
				return s, nil
			}
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, fmt.Errorf("blazar serve is not connected (is it running?): %w: %w", errdefs.ErrUnavailable, ctx.Err())
		}
	}
}

// errGone says that the connection went away before the answer came.
var errGone = errors.New("connection to the daemon lost")

func (s *session) ask(ctx context.Context, method string, body []byte) (answered, error) {
	ch := make(chan answered, 1)
	s.mu.Lock()
	s.lastID++
	id := s.lastID
	s.pending[id] = ch
	s.mu.Unlock()
	defer s.forget(id)
	if err := s.conn.write(&packet{ID: id, Method: method, Body: body}, nil); err != nil {
		if errors.Is(err, errdefs.ErrInvalidArgument) {
			return answered{}, err
		}
		_ = s.conn.c.Close() // the reader ends the session
		<-s.done
		return answered{}, errGone
	}
	select {
	case a := <-ch:
		return a, nil
	case <-s.done:
		select {
		case a := <-ch:
			return a, nil
		default:
			return answered{}, errGone
		}
	case <-ctx.Done():
		return answered{}, ctx.Err()
	}
}

// forget drops a question; an answer that came meanwhile and nobody took is closed.
func (s *session) forget(id uint64) {
	s.mu.Lock()
	ch, waiting := s.pending[id]
	delete(s.pending, id)
	s.mu.Unlock()
	if !waiting {
		select {
		case a := <-ch:
			closeAll(a.files)
		default:
		}
	}
}

// read hands answers to those who asked until the connection ends.
func (s *session) read() {
	for {
		p, files, err := s.conn.read()
		if err != nil {
			return
		}
		s.mu.Lock()
		ch := s.pending[p.ID]
		delete(s.pending, p.ID)
		if ch != nil {
			ch <- answered{p, files} // never blocks: one answer per channel
		}
		s.mu.Unlock()
		if ch == nil {
			closeAll(files)
		}
	}
}

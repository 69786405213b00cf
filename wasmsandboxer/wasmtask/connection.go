package wasmtask

import (
	"net"
	"os"
	"sync"
)

// connection tells its end: both sides of a worker's Task API live and die by it.
type connection struct {
	net.Conn
	once sync.Once
	gone chan struct{} // closed before a Read or Write returns that the other side is gone
}

func newConnection(f *os.File) (*connection, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, gone: make(chan struct{})}, nil
}

// Read notes the end.
func (c *connection) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.end()
	}
	return n, err
}

// Write notes the end.
func (c *connection) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		c.end()
	}
	return n, err
}

// Close notes the end.
func (c *connection) Close() error {
	c.end()
	return c.Conn.Close()
}

func (c *connection) end() { c.once.Do(func() { close(c.gone) }) }

// isGone says whether the end was noted.
func (c *connection) isGone() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// Single is a listener with the one connection that a worker serves.
type Single struct {
	conn  *connection
	first chan net.Conn
}

var _ net.Listener = (*Single)(nil)

// NewSingle takes the connection over from f, which stays the caller's.
func NewSingle(f *os.File) (*Single, error) {
	c, err := newConnection(f)
	if err != nil {
		return nil, err
	}
	s := &Single{conn: c, first: make(chan net.Conn, 1)}
	s.first <- c
	return s, nil
}

// Accept returns the connection, and from then on waits for its end:
// net.ErrClosed.
func (s *Single) Accept() (net.Conn, error) {
	select {
	case c := <-s.first:
		return c, nil
	default:
	}
	<-s.conn.gone
	return nil, net.ErrClosed
}

// Close ends the connection.
func (s *Single) Close() error { return s.conn.Close() }

// Addr is that of the connection.
func (s *Single) Addr() net.Addr { return s.conn.LocalAddr() }

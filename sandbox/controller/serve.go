package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/containerd/log"
	"google.golang.org/grpc"
)

// stopTimeout is how long the requests that are going on may take when the server
// ends.
const stopTimeout = 10 * time.Second

// Endpoint is where one service is served.
type Endpoint struct {
	// Socket is the path of the unix socket, at most 107 bytes.
	Socket string
	// Service answers there; the server closes it when it ends.
	Service *Service
}

// Server serves several kinds in one process, on one socket each.
type Server struct {
	endpoints []Endpoint
	listeners []net.Listener
}

// Listen binds the sockets of all endpoints, with mode 0600; connections are taken
// from now on and answered from Serve on. A socket left by a process that has ended
// is replaced; errdefs.ErrAlreadyExists if somebody answers on it. Serve, or Close
// instead of it, ends the server.
func Listen(ctx context.Context, endpoints ...Endpoint) (*Server, error) {
	s := &Server{endpoints: endpoints}
	for _, e := range endpoints {
		l, err := listen(ctx, e.Socket)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.listeners = append(s.listeners, l)
	}
	return s, nil
}

// Close lets go of the sockets of a server that was never asked to Serve.
func (s *Server) Close() error {
	var err error
	for _, l := range s.listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

// Serve answers until ctx ends or a socket fails, then lets the requests that are
// going on finish, closes the services and leaves the pods running. It returns nil
// when ctx ended and everything came to its end in time.
func (s *Server) Serve(ctx context.Context) error {
	failed := make(chan error, len(s.endpoints))
	servers := make([]*grpc.Server, len(s.endpoints))
	for i, e := range s.endpoints {
		servers[i] = grpc.NewServer()
		e.Service.Register(servers[i])
		go func() {
			if err := servers[i].Serve(s.listeners[i]); err != nil {
				err = fmt.Errorf("serve %s: %w", e.Socket, err)
				failed <- err
				return
			}
			failed <- nil
		}()
	}
	running := len(servers)
	var err error
	if running > 0 {
		select {
		case <-ctx.Done():
		case err = <-failed:
			running--
		}
	} else {
		<-ctx.Done()
	}
	err = errors.Join(err, s.end(ctx, servers))
	for range running {
		err = errors.Join(err, <-failed)
	}
	return err
}

// end closes the services, which answers the blocked requests, and the servers.
func (s *Server) end(ctx context.Context, servers []*grpc.Server) error {
	ctx, cancel := detach(ctx, stopTimeout)
	defer cancel()
	var err error
	for i, e := range s.endpoints {
		err = errors.Join(err, e.Service.Close(ctx))
		graceful := make(chan struct{})
		go func() {
			defer close(graceful)
			servers[i].GracefulStop()
		}()
		select {
		case <-graceful:
		case <-ctx.Done():
			log.G(ctx).Warnf("requests on %s are cut off", e.Socket)
			servers[i].Stop()
			<-graceful
		}
	}
	return err
}

// Serve is Listen and Server.Serve in one.
func Serve(ctx context.Context, endpoints ...Endpoint) error {
	s, err := Listen(ctx, endpoints...)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

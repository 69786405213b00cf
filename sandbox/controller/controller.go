// Package controller serves containerd's sandbox Controller API over a
// sandbox.Sandboxer.
package controller

import (
	"context"

	"google.golang.org/grpc"

	"blazar/sandbox"
	"blazar/sandbox/state"
)

// Config of a Service.
type Config struct {
	// Store holds the records of this kind alone.
	Store *state.Store
}

// Service is the Controller service of one kind.
type Service struct{}

// New makes the service of a kind. Call Recover once before serving.
func New(s sandbox.Sandboxer, c Config) (*Service, error) { return &Service{}, nil }

// Recover makes the recorded sandboxes again.
func (s *Service) Recover(ctx context.Context) error { return nil }

// Register adds the service to a gRPC server.
func (s *Service) Register(r grpc.ServiceRegistrar) {}

// Close ends what the service owns and leaves the pods running.
func (s *Service) Close(ctx context.Context) error { return nil }

// Endpoint is where one service is served.
type Endpoint struct {
	// Socket is the path of the unix socket.
	Socket string
	// Service answers there; the server closes it when it ends.
	Service *Service
}

// Server serves several kinds in one process.
type Server struct{}

// Listen binds the sockets of all endpoints.
func Listen(ctx context.Context, endpoints ...Endpoint) (*Server, error) { return &Server{}, nil }

// Serve answers until ctx ends, then stops gracefully and leaves the pods running.
func (s *Server) Serve(ctx context.Context) error { return nil }

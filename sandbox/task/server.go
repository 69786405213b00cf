package task

import (
	"context"

	"github.com/containerd/ttrpc"
)

// Server serves the Task API over a Runtime.
type Server struct {
	runtime Runtime
	options Options
}

// NewServer makes a server; Close ends it.
func NewServer(r Runtime, o Options) *Server {
	return &Server{runtime: r, options: o.withDefaults()}
}

// Register adds the services containerd.task.v3.Task and containerd.task.v2.Task.
func (s *Server) Register(t *ttrpc.Server) {}

// Close ends the server's goroutines, after the events that wait were handed on or
// ctx ended. Containers are left as they are.
func (s *Server) Close(ctx context.Context) error { return nil }

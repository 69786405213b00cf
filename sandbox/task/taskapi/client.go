package taskapi

import (
	"context"
	"errors"

	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Client calls the Task API. Errors are errdefs kinds; a call lasts as long as its
// context. Safe for concurrent use.
type Client struct {
	conn    *ttrpc.Client
	service string
}

// NewClient makes a client of version 3. The connection stays the caller's.
func NewClient(conn *ttrpc.Client) *Client {
	return &Client{conn: conn, service: ServiceV3}
}

// NewClientV2 makes a client of version 2.
func NewClientV2(conn *ttrpc.Client) *Client {
	return &Client{conn: conn, service: ServiceV2}
}

func call[T any, P interface {
	*T
	proto.Message
}](ctx context.Context, c *Client, method string, request proto.Message) (P, error) {
	response := P(new(T))
	err := c.conn.Call(ctx, c.service, method, request, response)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil, err // ours, which ToNative would take for an unknown error
	case err != nil:
		return nil, errgrpc.ToNative(err)
	}
	return response, nil
}

func (c *Client) do(ctx context.Context, method string, request proto.Message) error {
	_, err := call[emptypb.Empty](ctx, c, method, request)
	return err
}

// State returns the state of a process.
func (c *Client) State(ctx context.Context, r *StateRequest) (*StateResponse, error) {
	return call[StateResponse](ctx, c, MethodState, r)
}

// Create makes a container.
func (c *Client) Create(ctx context.Context, r *CreateTaskRequest) (*CreateTaskResponse, error) {
	return call[CreateTaskResponse](ctx, c, MethodCreate, r)
}

// Start runs a process.
func (c *Client) Start(ctx context.Context, r *StartRequest) (*StartResponse, error) {
	return call[StartResponse](ctx, c, MethodStart, r)
}

// Delete frees a process that has exited or never started.
func (c *Client) Delete(ctx context.Context, r *DeleteRequest) (*DeleteResponse, error) {
	return call[DeleteResponse](ctx, c, MethodDelete, r)
}

// Pids lists the processes of a container.
func (c *Client) Pids(ctx context.Context, r *PidsRequest) (*PidsResponse, error) {
	return call[PidsResponse](ctx, c, MethodPids, r)
}

// Pause freezes a container.
func (c *Client) Pause(ctx context.Context, r *PauseRequest) error {
	return c.do(ctx, MethodPause, r)
}

// Resume thaws a container.
func (c *Client) Resume(ctx context.Context, r *ResumeRequest) error {
	return c.do(ctx, MethodResume, r)
}

// Checkpoint writes a container's state.
func (c *Client) Checkpoint(ctx context.Context, r *CheckpointTaskRequest) error {
	return c.do(ctx, MethodCheckpoint, r)
}

// Kill sends a signal.
func (c *Client) Kill(ctx context.Context, r *KillRequest) error {
	return c.do(ctx, MethodKill, r)
}

// Exec adds a process to a container.
func (c *Client) Exec(ctx context.Context, r *ExecProcessRequest) error {
	return c.do(ctx, MethodExec, r)
}

// ResizePty changes the size of a terminal.
func (c *Client) ResizePty(ctx context.Context, r *ResizePtyRequest) error {
	return c.do(ctx, MethodResizePty, r)
}

// CloseIO ends a process's input.
func (c *Client) CloseIO(ctx context.Context, r *CloseIORequest) error {
	return c.do(ctx, MethodCloseIO, r)
}

// Update changes a container's limits.
func (c *Client) Update(ctx context.Context, r *UpdateTaskRequest) error {
	return c.do(ctx, MethodUpdate, r)
}

// Wait blocks until a process has exited.
func (c *Client) Wait(ctx context.Context, r *WaitRequest) (*WaitResponse, error) {
	return call[WaitResponse](ctx, c, MethodWait, r)
}

// Stats measures a container.
func (c *Client) Stats(ctx context.Context, r *StatsRequest) (*StatsResponse, error) {
	return call[StatsResponse](ctx, c, MethodStats, r)
}

// Connect tells the pids of the server and of a container.
func (c *Client) Connect(ctx context.Context, r *ConnectRequest) (*ConnectResponse, error) {
	return call[ConnectResponse](ctx, c, MethodConnect, r)
}

// Shutdown says that the caller needs the server no more.
func (c *Client) Shutdown(ctx context.Context, r *ShutdownRequest) error {
	return c.do(ctx, MethodShutdown, r)
}

package hostapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"blazar/wasmsandboxer/internal/budget"
)

// Handler answers one request. The files of the reply are closed once sent, also
// when sending failed.
type Handler interface {
	Handle(ctx context.Context, method string, body []byte) (reply any, files []*os.File, err error)
}

// RequestTimeout bounds the work on one request; a first start may compile.
const RequestTimeout = 2 * time.Minute

// What one wasm-task may ask in the long run, and at once, in requests and requests a
// second: more than a pod does in which something is started a hundred times a second.
const (
	requestRate  = 1000
	requestBurst = 5000
	// prepareCost is what a request costs for which the host's mounts are changed.
	prepareCost = 20
)

func cost(method string) float64 {
	if method == MethodPrepare || method == MethodFiles {
		return prepareCost
	}
	return 1
}

// Serve answers the requests that come over c until the other side closes it,
// ctx ends or the protocol is violated, and returns after the last handler has.
// It closes c.
func Serve(ctx context.Context, c *net.UnixConn, h Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	defer func() { _ = c.Close() }()

	conn := newConn(c, true)
	slots := make(chan struct{}, MaxInFlight)
	requests := budget.Budget{Rate: requestRate, Burst: requestBurst}
	for {
		p, _, err := conn.read()
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || ctx.Err() != nil {
				return nil
			}
			return err
		}
		if p.Method == "" || p.Error != nil {
			return protocolError("answer without a question")
		}
		if err := requests.Spend(ctx, cost(p.Method)); err != nil {
			return nil
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		work.Go(func() {
			defer func() { <-slots }()
			answer(ctx, conn, p, h)
		})
	}
}

func answer(serving context.Context, c *conn, p *packet, h Handler) {
	ctx, cancel := context.WithTimeout(serving, RequestTimeout)
	defer cancel()
	reply, files, err := handle(ctx, h, p)
	defer closeAll(files)
	if err != nil && serving.Err() != nil {
		return // cut short by this daemon's end: the wasm-task asks the next one
	}
	out := &packet{ID: p.ID}
	if err == nil && reply != nil {
		out.Body, err = json.Marshal(reply)
	}
	if err != nil {
		out.Error, out.Body = encodeError(err), nil
		closeAll(files)
		files = nil
	}
	if err := c.write(out, files); err != nil && ctx.Err() == nil {
		log.G(ctx).WithError(err).WithField("method", clip(p.Method)).Warn("cannot answer the wasm-task")
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = c.c.Close() // it does not read: its reader here gives up
			return
		}
		// Without files it may get through; when it does not, the connection is dead
		// and its reader knows.
		_ = c.write(&packet{ID: p.ID, Error: encodeError(err)}, nil)
	}
}

// handle keeps a panic over one pod's request from ending the daemon of all.
func handle(ctx context.Context, h Handler, p *packet) (reply any, files []*os.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			log.G(ctx).WithField("method", clip(p.Method)).Errorf("host service: panic: %v\n%s", r, debug.Stack())
			reply, files, err = nil, nil, fmt.Errorf("host service failed on %s: %w", clip(p.Method), errdefs.ErrInternal)
		}
	}()
	return h.Handle(ctx, p.Method, p.Body)
}

// clip keeps hostile values short in messages.
func clip(s string) string {
	const longest = 40
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}

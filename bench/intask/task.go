package intask

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/ttrpc"

	"blazar/bench/client"
	"blazar/internal/node"
)

// taskRunner starts containers of one running pod over the pod's own Task API, as
// containerd does, with a connection of its own.
type taskRunner struct {
	client *client.Client
	pod    *client.Pod
	guest  Guest
	fifos  string // a folder of FIFOs that the host service takes for containerd's
	tasks  task.TTRPCTaskService
	conn   *ttrpc.Client
	count  int
}

var _ runner = (*taskRunner)(nil)

// newTaskRunner runs a pod of the handler.
func newTaskRunner(ctx context.Context, c *client.Client, handler string, g Guest) (_ *taskRunner, err error) {
	pod, err := c.RunPod(ctx, client.PodOptions{Name: "intask", Handler: handler, HostNetwork: true})
	if err != nil {
		return nil, err
	}
	r := &taskRunner{client: c, pod: pod, guest: g}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	address, _, err := pod.Sandbox(ctx, "wasm")
	if err != nil {
		return nil, err
	}
	path, ok := strings.CutPrefix(address, "ttrpc+unix://")
	if !ok {
		return nil, fmt.Errorf("task API at %q: only unix sockets can be measured", address)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	r.conn = ttrpc.NewClient(conn)
	r.tasks = task.NewTTRPCTaskClient(r.conn)
	// The folder of clients such as ctr: the host service checks the names in it.
	parent := filepath.Join(c.Node.Dir, "state", "fifo")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, err
	}
	r.fifos, err = os.MkdirTemp(parent, "")
	return r, err
}

// close removes the pod.
func (r *taskRunner) close() error {
	var errs []error
	if r.conn != nil {
		errs = append(errs, r.conn.Close())
	}
	errs = append(errs, r.pod.Remove(context.Background()))
	if r.fifos != "" {
		errs = append(errs, os.RemoveAll(r.fifos))
	}
	return errors.Join(errs...)
}

// batch has containerd make n containers, which is not measured, then starts them.
func (r *taskRunner) batch(ctx context.Context, n int) (samples []sample, err error) {
	all := make([]*started, n)
	defer func() {
		for _, s := range all {
			if s != nil {
				err = errors.Join(err, s.remove(ctx))
			}
		}
	}()
	for i := range all {
		if all[i], err = r.prepare(ctx); err != nil {
			return nil, err
		}
	}
	return together(n, func(i int) (sample, error) { return all[i].run(ctx) })
}

// started is one container.
type started struct {
	r      *taskRunner
	id     string
	stdout *output
}

// prepare makes a container that nobody has started: containerd's record of it, with
// everything that CRI writes into a specification, and a FIFO that is being read.
func (r *taskRunner) prepare(ctx context.Context) (*started, error) {
	r.count++
	id, err := r.pod.CreateContainer(ctx, node.Container(fmt.Sprintf("c%d", r.count), r.guest.Image()))
	if err != nil {
		return nil, err
	}
	s := &started{r: r, id: id}
	if s.stdout, err = newOutput(filepath.Join(r.fifos, id+"-stdout")); err != nil {
		return nil, errors.Join(err, s.remove(ctx))
	}
	return s, nil
}

// run is what is measured, and the container's end.
func (s *started) run(ctx context.Context) (sample, error) {
	begin := time.Now()
	if _, err := s.r.tasks.Create(ctx, &task.CreateTaskRequest{ID: s.id, Bundle: s.r.fifos, Stdout: s.stdout.path}); err != nil {
		return sample{}, fmt.Errorf("create: %w", err)
	}
	created := time.Now()
	if _, err := s.r.tasks.Start(ctx, &task.StartRequest{ID: s.id}); err != nil {
		return sample{}, fmt.Errorf("start: %w", err)
	}
	at, err := s.stdout.wait(ctx)
	if err != nil {
		return sample{}, err
	}
	exit, err := s.r.tasks.Wait(ctx, &task.WaitRequest{ID: s.id})
	if err != nil {
		return sample{}, fmt.Errorf("wait: %w", err)
	}
	if exit.ExitStatus != 0 {
		return sample{}, fmt.Errorf("exit code %d", exit.ExitStatus)
	}
	if _, err := s.r.tasks.Delete(ctx, &task.DeleteRequest{ID: s.id}); err != nil {
		return sample{}, fmt.Errorf("delete: %w", err)
	}
	return sample{created: created.Sub(begin), first: at.Sub(begin)}, nil
}

// remove takes the container away from containerd.
func (s *started) remove(ctx context.Context) error {
	var errs []error
	if s.stdout != nil {
		errs = append(errs, s.stdout.close())
	}
	return errors.Join(append(errs, s.r.pod.RemoveContainer(context.WithoutCancel(ctx), s.id))...)
}

package intask

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// nativeRunner starts a process for each container: fork and exec of a static program,
// with no isolation whatsoever.
type nativeRunner struct {
	program string
	dir     string // of FIFOs
	count   int
}

var _ runner = (*nativeRunner)(nil)

// close has nothing to take down: the folders are the measurement's.
func (r *nativeRunner) close() error { return nil }

func (r *nativeRunner) batch(ctx context.Context, n int) (samples []sample, err error) {
	outputs, ends := make([]*output, n), make([]*os.File, n)
	defer func() {
		for i := range outputs {
			if ends[i] != nil {
				err = errors.Join(err, ends[i].Close())
			}
			if outputs[i] != nil {
				err = errors.Join(err, outputs[i].close())
			}
		}
	}()
	for i := range outputs {
		r.count++
		path := filepath.Join(r.dir, strconv.Itoa(r.count))
		if outputs[i], err = newOutput(path); err != nil {
			return nil, err
		}
		if ends[i], err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
			return nil, err
		}
	}
	return together(n, func(i int) (sample, error) { return r.run(ctx, outputs[i], ends[i]) })
}

func (r *nativeRunner) run(ctx context.Context, o *output, end *os.File) (sample, error) {
	begin := time.Now()
	p, err := os.StartProcess(r.program, []string{r.program}, &os.ProcAttr{Files: []*os.File{nil, end, nil}})
	if err != nil {
		return sample{}, err
	}
	started := time.Now()
	at, waitErr := o.wait(ctx)
	state, err := p.Wait()
	if err := errors.Join(waitErr, err); err != nil {
		return sample{}, err
	}
	if !state.Success() {
		return sample{}, fmt.Errorf("%s: %v", r.program, state)
	}
	return sample{created: started.Sub(begin), first: at.Sub(begin)}, nil
}

package wasmsandboxer

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/containerd/log"
	"golang.org/x/sys/unix"

	"blazar/internal/confine"
	"blazar/internal/mnt"
	"blazar/internal/wasmedgelib"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/host"
	"blazar/wasmsandboxer/hostapi"
	"blazar/wasmsandboxer/podspec"
)

// preparedName is the directory, in that of the sockets, of wasm-tasks that were started
// before their pods were known: one directory for each, with what a pod has in its own.
const preparedName = "prepared"

// readyTimeout bounds the start of a prepared wasm-task.
const readyTimeout = 20 * time.Second

// prepared is a wasm-task that runs, confined like any, and waits for a pod. It ends
// with the connection that it was born with, and so with the daemon, unless it was told
// by then which pod it is.
type prepared struct {
	name    string // of its directory
	dir     string
	uid     uint32
	process *confine.Process
	program identity
	given   chan struct{} // closed when somebody takes it out of the pool
}

// identity tells one program file from another that replaced it.
type identity struct {
	dev, ino          uint64
	size              int64
	modified, changed unix.Timespec
}

// prepare starts one. The caller owns it; nothing of it is left after an error.
func (p *pool) prepare(ctx context.Context) (_ *prepared, err error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	s := p.s
	t := &prepared{name: rand.Text()[:16], given: make(chan struct{})}
	t.dir = p.dir(t.name)
	if t.program, err = identify(s.config.Binary); err != nil {
		return nil, err
	}
	if t.uid, err = s.config.IDs.Take(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.discard(t))
		}
	}()
	if err := os.Mkdir(t.dir, 0o700); err != nil {
		return nil, err
	}
	if err := mountRoot(t.dir); err != nil {
		return nil, err
	}
	tasks, err := listen("unix", s.socketOf(preparedKey(t.name), taskSocket))
	if err != nil {
		return nil, err
	}
	t.process, err = s.spawn(ctx, birth{
		program: wasmedgelib.Command{Path: s.config.Binary}, uid: t.uid, netns: p.netns, group: p.group, tasks: tasks,
		root: filepath.Join(t.dir, rootName), stderr: filepath.Join(t.dir, stderrName), daemons: s.socketOf(preparedKey(t.name), hostSocket),
	})
	_ = tasks.Close() // the process has its own
	if err != nil {
		return nil, err
	}
	return t, p.rehearse(ctx, t)
}

// rehearse has the task do what every pod needs, with a guest of nobody's, and returns
// when it waits.
func (p *pool) rehearse(ctx context.Context, t *prepared) (err error) {
	standby := hostapi.Standby{Engine: p.s.likelyEngine()}
	if standby.Engine != "" {
		a, hide, err := p.show(ctx, t, &standby)
		if err != nil {
			log.G(ctx).WithError(err).Warn("a wasm-task is prepared without having run a guest")
		} else {
			defer a.Release()
			defer func() { err = errors.Join(err, hide()) }()
		}
	}
	if err := hostapi.SendStandby(t.process.Control, standby); err != nil {
		return err
	}
	return hostapi.AwaitReady(ctx, t.process.Control)
}

// show puts the guest of the rehearsal into the task's root, until hide is called.
func (p *pool) show(ctx context.Context, t *prepared, standby *hostapi.Standby) (a *ociwasm.Artifact, hide func() error, err error) {
	if a, err = p.s.config.Node.Rehearsal(ctx, standby.Engine); err != nil {
		return nil, nil, err
	}
	standby.Artifact, hide, err = host.ShowArtifact(filepath.Join(t.dir, rootName), a)
	if err != nil {
		a.Release()
		return nil, nil, err
	}
	return a, hide, nil
}

// likelyEngine is that of pods that choose none.
func (s *Sandboxer) likelyEngine() string {
	node := s.config.Node
	c, err := (&podspec.Container{}).Engine(node.DefaultEngine, node.Possible(false))
	if err != nil {
		return "" // the pods will be told
	}
	return c.Engine
}

// ended says whether the process has.
func (t *prepared) ended() bool {
	select {
	case <-t.process.Handle().Done():
		return true
	default:
		return false
	}
}

// discard ends a task that no pod has and frees what it has.
func (p *pool) discard(t *prepared) error {
	if t.process != nil {
		if err := p.s.kill(t.process.Handle()); err != nil {
			return err // its ids stay its own
		}
		if err := t.process.Close(); err != nil {
			return err
		}
	}
	if err := p.s.erasePrepared(t.name); err != nil {
		return err
	}
	p.s.config.IDs.Release(t.uid)
	return nil
}

// erasePrepared removes the files of a prepared task that has ended.
func (s *Sandboxer) erasePrepared(name string) error {
	dir := filepath.Join(s.config.Sockets, preparedName, name)
	if err := mnt.UnmountAll(filepath.Join(dir, rootName)); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(dir),
		os.RemoveAll(s.socketOf(preparedKey(name), taskSocket)), os.RemoveAll(s.socketOf(preparedKey(name), hostSocket)))
}

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/containerd/log"

	"blazar/engines"
	"blazar/engines/wasip1"
)

// rehearseGuest opens the engine and has it run a module of nobody's as a pod's guests
// are run, so that what the first of them needs is in memory when it comes. An error
// says that there is no engine; that the guest fails is logged, and no harm.
func rehearseGuest(registry *engines.Registry, engine, artifact string) error {
	ctx, cancel := context.WithTimeout(context.Background(), rehearsalTimeout)
	defer cancel()
	e, err := registry.Open(ctx, engine)
	if err != nil || artifact == "" {
		return err
	}
	if err := runGuest(ctx, e, artifact); err != nil {
		log.G(ctx).WithError(err).Warn("the rehearsal with engine " + engine + " failed")
	}
	return nil
}

// runGuest runs the artifact once, and reads the line that it writes.
func runGuest(ctx context.Context, e engines.Engine, artifact string) (err error) {
	m, err := e.Load(ctx, artifact)
	if err != nil {
		return err
	}
	defer func() { _ = m.Close() }() // after its only instance
	output, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = output.Close() }() // only read from
	system, err := wasip1.New(wasip1.Config{Args: []string{"rehearsal"}, Env: []string{"PATH=/"}, Stdout: stdout})
	if err != nil {
		_ = stdout.Close()
		return err
	}
	defer func() { _ = system.Close() }()
	guest, err := m.New(ctx, engines.Config{System: system})
	if err != nil {
		return err
	}
	defer func() { _ = guest.Close() }()
	ended := make(chan engines.Exit)
	go func() {
		runtime.LockOSThread() // and the thread ends with it, as a pod's guests' do
		ended <- guest.Run()
	}()
	exit := <-ended
	if exit != (engines.Exit{}) {
		return fmt.Errorf("the guest ended with %+v", exit)
	}
	var line [1]byte
	_, err = output.Read(line[:])
	return err
}

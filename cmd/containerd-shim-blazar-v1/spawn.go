package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// spawn runs a program in a process group of its own, which is killed when ctx ends;
// wait returns when it has ended. Package os/exec would make every start of this binary
// slower.
func spawn(ctx context.Context, path string, stdout *os.File, args ...string) (wait func() error, err error) {
	p, err := os.StartProcess(path, append([]string{filepath.Base(path)}, args...), &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{nil, stdout, nil}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return func() error { return nil }, err
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }) // it has ended
	return func() error {
		defer stop()
		s, err := p.Wait()
		if err == nil && !s.Success() {
			err = fmt.Errorf("%s: %s", path, s)
		}
		return err
	}, nil
}

// lookPath finds a program in PATH, or where a path says.
func lookPath(name string) (string, error) {
	if filepath.Base(name) != name {
		return name, nil
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); filepath.IsAbs(dir) && err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, os.ErrNotExist)
}

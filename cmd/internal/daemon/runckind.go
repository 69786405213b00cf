package daemon

import (
	"blazar/internal/config"
	"blazar/runcsandboxer"
	"blazar/runcsandboxer/runctask/ctl"
	"blazar/sandbox"
)

// runcKind makes the sandboxer of pods of Linux containers.
func runcKind(cfg config.Config, _ Programs) (sandbox.Sandboxer, func() error, error) {
	kind, err := newRuncKind(cfg)
	if err != nil {
		return nil, nil, err
	}
	return kind, func() error { kind.Close(); return nil }, nil
}

func newRuncKind(cfg config.Config) (*runcsandboxer.Sandboxer, error) {
	return runcsandboxer.New(runcsandboxer.Config{
		Reaper: cfg.Runc.Reaper, TaskSocket: cfg.TaskSocket(), Tasks: ctl.Client{Path: ctl.Socket(cfg.State)},
		CgroupParent:      cfg.Runc.CgroupParent,
		UnprivilegedPorts: cfg.Runc.UnprivilegedPorts, UnprivilegedPing: cfg.Runc.UnprivilegedICMP,
	})
}

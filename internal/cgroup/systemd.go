package cgroup

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
	systemd1 "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// scopes makes systemd scopes.
type scopes interface {
	// start makes a scope with one process in it.
	start(ctx context.Context, unit, slice string, pid int) error
	// stop ends a scope; one that is gone is no error.
	stop(ctx context.Context, unit string) error
}

// systemd is the service manager of the host. A connection is made for each call:
// pods are few compared to what a lost connection would cost.
type systemd struct{}

// start asks for a delegated scope (org.freedesktop.systemd1(5),
// systemd.resource-control(5)): systemd then leaves what is inside to us, and
// enables the controllers that accounting is asked of.
func (systemd) start(ctx context.Context, unit, slice string, pid int) error {
	c, err := systemd1.NewWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reach systemd over D-Bus: %w", err)
	}
	defer c.Close()
	done := make(chan string, 1)
	if _, err := c.StartTransientUnitContext(ctx, unit, "fail", scopeProperties(unit, slice, pid), done); err != nil {
		if isDBus(err, "org.freedesktop.systemd1.UnitExists") {
			return fmt.Errorf("%w: %w", err, errdefs.ErrAlreadyExists)
		}
		return err
	}
	select {
	case result := <-done:
		if result != "done" {
			return fmt.Errorf("systemd's job ended with %q: %w", result, errdefs.ErrInternal)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func scopeProperties(unit, slice string, pid int) []systemd1.Property {
	p := []systemd1.Property{
		systemd1.PropDescription("Blazar pod " + unit),
		systemd1.PropSlice(slice),
		systemd1.PropPids(uint32(pid)),
	}
	for _, name := range []string{"Delegate", "CPUAccounting", "MemoryAccounting", "TasksAccounting", "IOAccounting"} {
		p = append(p, systemd1.Property{Name: name, Value: dbus.MakeVariant(true)})
	}
	return append(p,
		systemd1.Property{Name: "DefaultDependencies", Value: dbus.MakeVariant(false)},
		systemd1.Property{Name: "CollectMode", Value: dbus.MakeVariant("inactive-or-failed")},
	)
}

func (systemd) stop(ctx context.Context, unit string) error {
	c, err := systemd1.NewWithContext(ctx)
	if err != nil {
		return fmt.Errorf("reach systemd over D-Bus: %w", err)
	}
	defer c.Close()
	done := make(chan string, 1)
	if _, err := c.StopUnitContext(ctx, unit, "replace", done); err != nil {
		if isDBus(err, "org.freedesktop.systemd1.NoSuchUnit") {
			return nil
		}
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func isDBus(err error, name string) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == name
}

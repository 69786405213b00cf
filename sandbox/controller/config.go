package controller

import (
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"

	"blazar/sandbox/state"
)

// Config of a Service.
type Config struct {
	// Store holds the records of this kind alone.
	Store *state.Store
	// Timeouts bound the calls into the kind; zero values mean the defaults.
	Timeouts Timeouts
	// Info is added to every verbose status: versions, paths of the daemon.
	Info map[string]string
}

// Timeouts bound the calls into a kind. Create, Start, Query and Update hold where
// the caller sets no deadline; Stop and Delete always, because what they do goes on
// when the caller has gone away.
type Timeouts struct {
	Create, Start, Stop, Delete, Query, Recover time.Duration
	// Unstarted is how long a recovered sandbox of the CRI plugin may wait for Start.
	Unstarted time.Duration
	// Retry is the first pause before what could not be deleted is tried again.
	Retry time.Duration
}

// The defaults. Start must do for a microVM on a slow host.
var defaultTimeouts = Timeouts{
	Create:  time.Minute,
	Start:   2 * time.Minute,
	Stop:    30 * time.Second,
	Delete:  30 * time.Second,
	Query:   10 * time.Second,
	Recover: 30 * time.Second,

	Unstarted: 2 * time.Minute,
	Retry:     time.Second,
}

func (c Config) withDefaults() (Config, error) {
	if c.Store == nil {
		return c, fmt.Errorf("controller without a store: %w", errdefs.ErrInvalidArgument)
	}
	t, d := &c.Timeouts, defaultTimeouts
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Create, d.Create}, {&t.Start, d.Start}, {&t.Stop, d.Stop},
		{&t.Delete, d.Delete}, {&t.Query, d.Query}, {&t.Recover, d.Recover},
		{&t.Unstarted, d.Unstarted}, {&t.Retry, d.Retry},
	} {
		if *f.field < 0 {
			return c, errors.Join(errdefs.ErrInvalidArgument, errors.New("negative timeout"))
		}
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return c, nil
}

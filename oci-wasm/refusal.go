package ociwasm

import (
	"fmt"

	"github.com/containerd/errdefs"
)

// Refusal is an image or a module that cannot run. errors.As finds it; errors.Is
// finds its errdefs kind: ErrInvalidArgument for broken input, ErrNotImplemented
// for what is well-formed but not supported, ErrNotFound for what is missing.
type Refusal struct {
	// Subject names the image, layer or file; may be empty.
	Subject string
	// Found says what is there.
	Found string
	// Remedy says what to do about it.
	Remedy string
	// Kind is what a file turned out to be that is no module; empty for other refusals.
	Kind Kind

	kind error
}

// Error is one line: subject, finding, remedy.
func (r *Refusal) Error() string {
	s := r.Found
	if r.Subject != "" {
		s = r.Subject + ": " + s
	}
	if r.Remedy != "" {
		s += "; " + r.Remedy
	}
	return s
}

// Unwrap returns the errdefs kind.
func (r *Refusal) Unwrap() error { return r.kind }

func invalid(subject, remedy, format string, args ...any) *Refusal {
	return refuse(errdefs.ErrInvalidArgument, subject, remedy, format, args...)
}

func unsupported(subject, remedy, format string, args ...any) *Refusal {
	return refuse(errdefs.ErrNotImplemented, subject, remedy, format, args...)
}

func missing(subject, remedy, format string, args ...any) *Refusal {
	return refuse(errdefs.ErrNotFound, subject, remedy, format, args...)
}

func refuse(kind error, subject, remedy, format string, args ...any) *Refusal {
	return &Refusal{Subject: subject, Remedy: remedy, Found: fmt.Sprintf(format, args...), kind: kind}
}

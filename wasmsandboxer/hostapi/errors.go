package hostapi

import (
	"context"
	"errors"
	"fmt"

	"github.com/containerd/errdefs"
)

// Error is an error on the wire: a kind, so that errdefs works on the other side,
// and the text.
type Error struct {
	Kind    string `json:"kind,omitempty"`
	Message string `json:"message"`
}

// kinds are the errdefs kinds that travel, by their name on the wire.
var kinds = []struct {
	name string
	err  error
}{
	{"invalid argument", errdefs.ErrInvalidArgument},
	{"not found", errdefs.ErrNotFound},
	{"already exists", errdefs.ErrAlreadyExists},
	{"permission denied", errdefs.ErrPermissionDenied},
	{"resource exhausted", errdefs.ErrResourceExhausted},
	{"failed precondition", errdefs.ErrFailedPrecondition},
	{"not implemented", errdefs.ErrNotImplemented},
	{"unavailable", errdefs.ErrUnavailable},
	{"deadline exceeded", context.DeadlineExceeded},
	{"canceled", context.Canceled},
}

// encodeError is err for the wire.
func encodeError(err error) *Error {
	e := &Error{Message: err.Error()}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			e.Kind = k.name
			break
		}
	}
	const longest = 8 << 10
	if len(e.Message) > longest {
		e.Message = e.Message[:longest] + "…"
	}
	return e
}

// remoteError has the text of the other side and the kind.
type remoteError struct {
	text string
	kind error
}

// Error is the text alone: it names the kind already.
func (e *remoteError) Error() string { return e.text }

// Unwrap is the kind.
func (e *remoteError) Unwrap() error { return e.kind }

// decode makes the error again.
func (e *Error) decode() error {
	for _, k := range kinds {
		if k.name == e.Kind {
			return &remoteError{text: e.Message, kind: k.err}
		}
	}
	return &remoteError{text: e.Message, kind: errdefs.ErrUnknown}
}

// protocolError is a violation of the protocol: the connection ends.
func protocolError(format string, args ...any) error {
	return fmt.Errorf("host service protocol: "+format+": %w", append(args, errdefs.ErrInvalidArgument)...)
}

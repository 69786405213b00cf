package runctask

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	runc "github.com/containerd/go-runc"
)

// maxLog is how much of a runtime's log is looked at, from its end, in bytes.
const maxLog = 8 << 10

// command makes go-runc's client for one call about a container; its log is a file of
// its own, so that an error can be told from those of other calls.
func (r *record) command(log string) *runc.Runc {
	return &runc.Runc{Command: r.Binary, Root: r.Root, Log: log, LogFormat: runc.JSON, SystemdCgroup: r.Systemd}
}

// call runs one command of the OCI runtime under its deadline, and gives its error the
// reason that the runtime logged.
func (c *container) call(ctx context.Context, what string, do func(ctx context.Context, r *runc.Runc) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.rt.config.CommandTimeout)
	defer cancel()
	log, err := os.CreateTemp(c.dir, "log")
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = errors.Join(log.Close(), os.Remove(log.Name())) }() // in a directory that goes
	end := c.rt.config.Orphans.Begin()
	defer end()
	err = do(ctx, c.record.command(log.Name()))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %s did not come back and was killed: %w", what, c.record.Binary, ctx.Err())
	}
	if reason := lastError(log); reason != "" {
		return fmt.Errorf("%s: %s", what, reason)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// lastError is the last error that a runtime logged, in the JSON form of logrus.
func lastError(f *os.File) string {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	b := make([]byte, min(size, maxLog))
	if _, err := f.ReadAt(b, size-int64(len(b))); err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	last := ""
	for line := range bytes.Lines(b) {
		var e struct{ Level, Msg string }
		if json.Unmarshal(line, &e) == nil && (e.Level == "error" || e.Level == "fatal") {
			last = strings.TrimSpace(e.Msg)
		}
	}
	return last
}

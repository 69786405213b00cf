package wasmtask

import (
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"

	"blazar/wasmsandboxer/hostapi"
)

// streams are the files that came for one process.
type streams struct {
	stdin, stdout, stderr *os.File
	pty                   *os.File // the master, with a terminal only
	tty                   *os.File // the guest's side
	message               *os.File // takes the last words
	worker                *os.File // its Task API
	listeners             []*os.File
	threads               threadFiles
	ends                  []*os.File // further writing ends of the output's FIFOs
}

// takeStreams sorts files by their roles; on an error it has closed them.
func takeStreams(roles []string, files []*os.File) (*streams, error) {
	s := &streams{}
	if len(roles) != len(files) {
		for _, f := range files {
			_ = f.Close()
		}
		return nil, fmt.Errorf("host service sent %d files for %d roles: %w", len(files), len(roles), errdefs.ErrInternal)
	}
	single := map[string]**os.File{
		hostapi.RoleStdin: &s.stdin, hostapi.RoleStdout: &s.stdout, hostapi.RoleStderr: &s.stderr,
		hostapi.RolePTY: &s.pty, hostapi.RoleTTY: &s.tty, hostapi.RoleMessage: &s.message, hostapi.RoleWorker: &s.worker,
	}
	for i, role := range roles {
		p := single[role]
		switch {
		case role == hostapi.RoleListener:
			s.listeners = append(s.listeners, files[i])
		case role == hostapi.RoleStdoutEnd, role == hostapi.RoleStderrEnd:
			s.ends = append(s.ends, files[i])
		case role == hostapi.RoleThreads:
			s.threads.enter = append(s.threads.enter, files[i])
		case role == hostapi.RoleThrottling && s.threads.throttling == nil:
			s.threads.throttling = files[i]
		case p != nil && *p == nil:
			*p = files[i]
		default:
			_ = files[i].Close() // of a newer daemon
		}
	}
	return s, nil
}

// close closes everything but the ends, which outlast it.
func (s *streams) close() {
	for _, f := range append([]*os.File{s.stdin, s.stdout, s.stderr, s.pty, s.tty, s.message, s.worker}, s.listeners...) {
		if f != nil {
			_ = f.Close() // closing twice is harmless
		}
	}
	s.threads.close()
}

// tell writes text where a person looks for it, without ever blocking for long:
// the reader of a FIFO may be gone.
func tell(f *os.File, text string) {
	if f == nil {
		return
	}
	_ = f.SetWriteDeadline(time.Now().Add(time.Second)) // a regular file has none and never blocks
	_, _ = f.WriteString(text)
}

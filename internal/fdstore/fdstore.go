// Package fdstore keeps descriptors in the service manager while a daemon is not there
// (FDSTORE of sd_pid_notify_with_fds(3); FileDescriptorStoreMax= of systemd.service(5)),
// and takes them back (sd_listen_fds_with_names(3)).
package fdstore

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// firstFD is SD_LISTEN_FDS_START.
const firstFD = 3

// Store is that of this process. Without a service manager, or one that keeps nothing,
// its methods do nothing. Safe for concurrent use.
type Store struct {
	socket string

	mu   sync.Mutex // guards kept
	kept map[string]*os.File
}

// Open takes what the service manager kept from the environment; once, at the start,
// before other descriptors are inherited.
func Open() *Store {
	s := &Store{socket: os.Getenv("NOTIFY_SOCKET"), kept: map[string]*os.File{}}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		n = 0
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		unix.CloseOnExec(firstFD + i)
		name := ""
		if i < len(names) {
			name = names[i]
		}
		if old := s.kept[name]; old != nil {
			_ = old.Close() // the last one that was kept counts
		}
		s.kept[name] = os.NewFile(uintptr(firstFD+i), name)
	}
	for _, key := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(key) // valid names
	}
	return s
}

// Take returns the descriptor that was kept under a name, which is the caller's from
// now on; nil if there is none. The service manager has it as well until Drop.
func (s *Store) Take(name string) *os.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.kept[name]
	delete(s.kept, name)
	return f
}

// Rest drops and closes what nobody has taken.
func (s *Store) Rest() error {
	s.mu.Lock()
	kept := s.kept
	s.kept = map[string]*os.File{}
	s.mu.Unlock()
	var errs []error
	for name, f := range kept {
		errs = append(errs, s.Drop(name), f.Close())
	}
	return errors.Join(errs...)
}

// Keep gives the service manager a copy of a descriptor. It does not watch it: a pidfd
// is worth most when its process has ended.
func (s *Store) Keep(name string, fd int) error {
	return s.notify("FDSTORE=1\nFDPOLL=0\nFDNAME="+name, unix.UnixRights(fd))
}

// Drop has the service manager close its copy.
func (s *Store) Drop(name string) error {
	return s.notify("FDSTOREREMOVE=1\nFDNAME="+name, nil)
}

func (s *Store) notify(text string, rights []byte) error {
	if s.socket == "" {
		return nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }() // a datagram is sent or not
	// A name that begins with @ is abstract, for package unix as for systemd.
	if err := unix.Sendmsg(fd, []byte(text), rights, &unix.SockaddrUnix{Name: s.socket}, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("service manager at %s: %w", s.socket, err)
	}
	return nil
}

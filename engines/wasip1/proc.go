package wasip1

import (
	"runtime"

	"golang.org/x/sys/unix"
)

func procExit(s *System, _ memory, a []uint64) Errno {
	s.exit(uint32(a[0]))
	return ErrnoSuccess
}

// signals are those of preview 1 by number, as Linux counts them; zero is one
// that does nothing by default.
var signals = [...]unix.Signal{
	0, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGILL, unix.SIGTRAP, unix.SIGABRT,
	unix.SIGBUS, unix.SIGFPE, unix.SIGKILL, unix.SIGUSR1, unix.SIGSEGV, unix.SIGUSR2,
	unix.SIGPIPE, unix.SIGALRM, unix.SIGTERM, 0 /* CHLD */, 0, /* CONT */
	unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, 0, /* URG */
	unix.SIGXCPU, unix.SIGXFSZ, unix.SIGVTALRM, unix.SIGPROF, 0, /* WINCH */
	unix.SIGPOLL, unix.SIGPWR, unix.SIGSYS,
}

// procRaise does to the guest what a signal does that nobody handles: it exits
// with 128 and the number, as shells say it. There is nobody to continue a
// stopped guest, so it cannot stop itself.
func procRaise(s *System, _ memory, a []uint64) Errno {
	n := uint32(a[0]) & 0xff
	if n >= uint32(len(signals)) {
		return ErrnoInval
	}
	switch sig := signals[n]; sig {
	case 0:
	case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return ErrnoNotsup
	default:
		s.exit(128 + uint32(sig))
	}
	return ErrnoSuccess
}

func schedYield(*System, memory, []uint64) Errno {
	runtime.Gosched()
	return ErrnoSuccess
}

func randomGet(s *System, m memory, a []uint64) Errno {
	buf, ok := m.bytes(uint32(a[0]), uint32(a[1]))
	if !ok {
		return ErrnoFault
	}
	for len(buf) > 0 && !s.Done() {
		n, err := unix.Getrandom(buf[:min(len(buf), 1<<20)], 0)
		if err != nil && err != unix.EINTR {
			return fromHost(err)
		}
		buf = buf[max(n, 0):]
	}
	return ErrnoSuccess
}

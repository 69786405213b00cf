package wasip1

import (
	"runtime/debug"

	"github.com/containerd/log"
)

// ModuleName is the import module the functions belong to.
const ModuleName = "wasi_snapshot_preview1"

// ValueType is the type of a parameter.
type ValueType byte

// The value types of preview 1.
const (
	I32 ValueType = iota
	I64
)

// Function is one function of preview 1, in the shape that is cheapest to bind:
// arguments as raw 64-bit values, i32 zero-extended by the engine (the upper half
// is ignored where it is not).
type Function struct {
	Name   string
	Params []ValueType
	// NoResult is set for proc_exit alone; every other function returns an errno.
	NoResult bool
	// Call runs it. memory is the guest's linear memory now; it is not kept. After
	// every Call the engine asks System.Done and unwinds the guest if it is.
	// A panic inside has been recovered and is EFAULT.
	Call func(s *System, memory []byte, args []uint64) Errno
}

// Functions lists every function of preview 1. Order and length never change
// while the process lives, so that an index may stand for a function.
func Functions() []Function { return append([]Function(nil), functions...) }

var functions = []Function{
	define("args_get", argsGet, I32, I32),
	define("args_sizes_get", argsSizesGet, I32, I32),
	define("environ_get", environGet, I32, I32),
	define("environ_sizes_get", environSizesGet, I32, I32),
	define("clock_res_get", clockResGet, I32, I32),
	define("clock_time_get", clockTimeGet, I32, I64, I32),
	define("fd_advise", fdAdvise, I32, I64, I64, I32),
	define("fd_allocate", fdAllocate, I32, I64, I64),
	define("fd_close", fdClose, I32),
	define("fd_datasync", fdDatasync, I32),
	define("fd_fdstat_get", fdFdstatGet, I32, I32),
	define("fd_fdstat_set_flags", fdFdstatSetFlags, I32, I32),
	define("fd_fdstat_set_rights", fdFdstatSetRights, I32, I64, I64),
	define("fd_filestat_get", fdFilestatGet, I32, I32),
	define("fd_filestat_set_size", fdFilestatSetSize, I32, I64),
	define("fd_filestat_set_times", fdFilestatSetTimes, I32, I64, I64, I32),
	define("fd_pread", fdPread, I32, I32, I32, I64, I32),
	define("fd_prestat_get", fdPrestatGet, I32, I32),
	define("fd_prestat_dir_name", fdPrestatDirName, I32, I32, I32),
	define("fd_pwrite", fdPwrite, I32, I32, I32, I64, I32),
	define("fd_read", fdRead, I32, I32, I32, I32),
	define("fd_readdir", fdReaddir, I32, I32, I32, I64, I32),
	define("fd_renumber", fdRenumber, I32, I32),
	define("fd_seek", fdSeek, I32, I64, I32, I32),
	define("fd_sync", fdSync, I32),
	define("fd_tell", fdTell, I32, I32),
	define("fd_write", fdWrite, I32, I32, I32, I32),
	define("path_create_directory", pathCreateDirectory, I32, I32, I32),
	define("path_filestat_get", pathFilestatGet, I32, I32, I32, I32, I32),
	define("path_filestat_set_times", pathFilestatSetTimes, I32, I32, I32, I32, I64, I64, I32),
	define("path_link", pathLink, I32, I32, I32, I32, I32, I32, I32),
	define("path_open", pathOpen, I32, I32, I32, I32, I32, I64, I64, I32, I32),
	define("path_readlink", pathReadlink, I32, I32, I32, I32, I32, I32),
	define("path_remove_directory", pathRemoveDirectory, I32, I32, I32),
	define("path_rename", pathRename, I32, I32, I32, I32, I32, I32),
	define("path_symlink", pathSymlink, I32, I32, I32, I32, I32),
	define("path_unlink_file", pathUnlinkFile, I32, I32, I32),
	define("poll_oneoff", pollOneoff, I32, I32, I32, I32),
	exits(define("proc_exit", procExit, I32)),
	define("proc_raise", procRaise, I32),
	define("sched_yield", schedYield),
	define("random_get", randomGet, I32, I32),
	define("sock_accept", sockAccept, I32, I32, I32),
	define("sock_recv", sockRecv, I32, I32, I32, I32, I32, I32),
	define("sock_send", sockSend, I32, I32, I32, I32, I32),
	define("sock_shutdown", sockShutdown, I32, I32),
}

// implementation is a function without what is the same for all.
type implementation func(s *System, m memory, a []uint64) Errno

func define(name string, f implementation, params ...ValueType) Function {
	call := func(s *System, m []byte, args []uint64) (errno Errno) {
		s.run.Lock()
		defer func() {
			s.scratch.release()
			s.run.Unlock()
			if v := recover(); v != nil {
				s.panicked(name, v)
				errno = ErrnoFault
			}
		}()
		if s.Done() || s.closed {
			return ErrnoCanceled
		}
		return f(s, m, args)
	}
	return Function{Name: name, Params: params, Call: call}
}

func exits(f Function) Function {
	f.NoResult = true
	return f
}

// panicked reports a mistake of this package, once per guest: it may be able to
// repeat it as often as it likes.
func (s *System) panicked(function string, v any) {
	s.reported.Do(func() {
		log.L.WithField("function", function).WithField("panic", v).
			Errorf("wasip1: panic in a host function: %s", debug.Stack())
	})
	s.panics.Add(1)
}

// scratch holds buffers that calls use again. It never holds on to the memory of
// the guest after a call.
type scratch struct {
	iovs    [][]byte
	one     [1][]byte
	dirents []byte
	poll    pollScratch
}

func (c *scratch) release() {
	clear(c.iovs)
	c.iovs = c.iovs[:0]
	c.one[0] = nil
}

// Package wasip1 is WASI preview 1, once, for every engine: the functions of the
// module wasi_snapshot_preview1 over a System, which is the world one guest sees.
//
// An engine binds Functions as host functions and calls each with the guest's
// memory; the layer never keeps a reference to that memory. Every call that can
// block ends when the System is killed. Specification:
// https://github.com/WebAssembly/WASI/blob/main/legacy/preview1/docs.md
//
// # Life cycle
//
// New, then the guest's calls one at a time and Kill, Shutdown and CloseStdin from
// any goroutine, then Close, which releases every file. After each call the engine
// asks Done: a guest that has exited or was killed must be unwound, and no
// call does anything for it any more (ErrnoCanceled).
//
// # Confinement
//
// Paths are resolved by the kernel beneath the directory they are relative to
// (openat2), and whatever is found is used by descriptor, or as the last component
// in its parent. A path that leads out is ENOTCAPABLE. Below the preopen "/",
// and only there, absolute symbolic links are resolved with that preopen as the
// root, as images of Linux containers need them. A guest cannot make one itself:
// the public test suite wants that refused.
//
// A read-only preopen answers every change with EROFS. Rights of descriptors can
// be given away and then are enforced; a preopen starts with all.
//
// # Where preview 1 leaves room
//
// A FIFO is of unknown type and no terminal. Opening one for writing waits for a
// reader; opening one for reading does not wait for a writer, the first read does.
// The clocks of process and thread are both the guest's thread's, and cannot be
// waited for. A signal that a guest raises ends it with exit code 128+n, n being
// Linux's number; those that stop a process are not supported, those that do
// nothing by default do nothing.
//
// A listener is non-blocking for a guest that asks for its flags before it accepts:
// Go's runtime does, never sets them on what it was given, and would stop all its
// goroutines in a blocking accept. For a guest that just accepts, as C and Rust
// do, accept waits. Setting the flags decides too.
//
// # System calls
//
// Besides what the Go runtime needs: accept4, clock_gettime, close, epoll_create1,
// epoll_ctl, epoll_pwait, fadvise64, fallocate, fcntl (F_GETFL, F_SETFL), fdatasync,
// fstat, fsync, ftruncate, getdents64, getrandom, getsockopt (SO_TYPE), ioctl
// (FIONREAD), linkat, lseek, mkdirat, newfstatat, openat (of "."), openat2 (Linux
// 5.6), ppoll, preadv, pwritev, readlinkat, readv, recvmsg, renameat, shutdown,
// symlinkat, unlinkat, utimensat (with AT_EMPTY_PATH, Linux 5.8), writev. None needs
// a capability, /proc, or anything in the root directory.
package wasip1

package confine

import "os"

// withFds calls fn with the descriptors of the files, which stay open meanwhile.
// Unlike os.File.Fd it leaves them in the mode they are in: blocking mode belongs
// to the open file, which others may share.
func withFds(files []*os.File, fn func(fds []int) error) error {
	return collect(files, make([]int, 0, len(files)), fn)
}

func collect(files []*os.File, fds []int, fn func(fds []int) error) error {
	if len(files) == 0 {
		return fn(fds)
	}
	c, err := files[0].SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := c.Control(func(fd uintptr) { ferr = collect(files[1:], append(fds, int(fd)), fn) }); err != nil {
		return err
	}
	return ferr
}

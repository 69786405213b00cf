// Package openfile uses the descriptor of an open file.
package openfile

import "os"

// Control calls fn with f's descriptor, which stays open until fn returns, whoever
// closes f meanwhile. It returns fn's error; one that f is closed, without calling fn.
func Control(f *os.File, fn func(fd int) error) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := c.Control(func(fd uintptr) { ferr = fn(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

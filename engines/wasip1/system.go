package wasip1

import "os"

// Config makes a System. Files given here belong to the System from New on,
// which closes them in Close.
type Config struct {
	// Args and Env ("NAME=value") are what args_get and environ_get return.
	Args, Env []string
	// Stdin, Stdout and Stderr become descriptors 0 to 2. nil: stdin is at its
	// end, output vanishes.
	Stdin, Stdout, Stderr *os.File
	// Preopens become descriptors 3 and up, in order.
	Preopens []Preopen
	// Listeners become the descriptors behind the preopens: a guest's libc stops
	// scanning for preopens at the first descriptor that is none.
	Listeners []*os.File
}

// Preopen is a directory that the guest may use.
type Preopen struct {
	// Guest is the absolute path the guest knows it by.
	Guest string
	// Dir is the open directory; nothing above it can be reached.
	Dir *os.File
	// ReadOnly refuses every change below it with EROFS.
	ReadOnly bool
}

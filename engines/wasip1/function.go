package wasip1

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
// arguments as raw 64-bit values, i32 zero-extended by the engine.
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

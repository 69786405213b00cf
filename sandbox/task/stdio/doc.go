// Package stdio opens the FIFOs that containerd names for a process's input and
// output, and copies between them and whatever the process reads and writes: nothing
// in between (hand it the files), a pseudo terminal, or a connection.
//
// No call here blocks because nobody has opened, reads or writes the other end. A
// process's exit is told after its output: Relay.Wait between the two.
package stdio

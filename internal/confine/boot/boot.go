// Package boot is the half of package confine that runs in the confined process:
// a C constructor, linked in by a blank import.
package boot

// Confined says whether this process was confined at its start.
func Confined() bool { return false }

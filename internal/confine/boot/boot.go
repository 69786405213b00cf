//go:build linux && cgo

// Package boot is the half of package confine that runs in the confined process: a
// C constructor, linked in by importing the package. It imports nothing, so it
// costs a start nothing but what it does.
package boot

// extern int blazar_confined;
import "C"

// Confined says whether the constructor confined this process at its start. A
// program that is meant to run confined only should refuse to go on without.
func Confined() bool { return C.blazar_confined == 1 }

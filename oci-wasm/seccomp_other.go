//go:build !amd64

package ociwasm

var archForbidden []uint32

//go:build !amd64

package v2guest

func rdtsc() uint64 { return 0 }

//go:build !amd64 && !arm64

package confine

const (
	auditArch  = 0
	sysFstatat = 0
)

var archPlain []uint32

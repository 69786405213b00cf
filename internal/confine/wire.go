package confine

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/containerd/errdefs"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The messages to and from the constructor, declared in boot/boot.c as well.
const (
	envVar   = "BLAZAR_CONFINE"
	magic    = 0x31464342
	hasNetNS = 1

	hostnameSize = 68 // 64 and a zero, aligned
	maxHostname  = 64 // __NEW_UTS_LEN of linux/utsname.h
	headSize     = 6*4 + hostnameSize
	maxFilter    = 4096 // BPF_MAXINSNS
	replySize    = 4 + 4 + 120
)

// encode writes struct message of boot.c.
func encode(c *Config) []byte {
	flags := uint32(0)
	if c.NetNS != nil {
		flags |= hasNetNS
	}
	keep := firstFile + len(c.Files)
	b := make([]byte, 0, headSize+8*len(c.Filter))
	for _, v := range []uint32{magic, flags, c.UID, c.GID, uint32(keep), uint32(len(c.Filter))} {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	b = append(b, c.Hostname...)
	b = append(b, make([]byte, headSize-len(b))...)
	for _, i := range c.Filter {
		b = appendInstruction(b, i)
	}
	return b
}

// appendInstruction writes struct sock_filter of linux/filter.h.
func appendInstruction(b []byte, i bpf.RawInstruction) []byte {
	b = binary.NativeEndian.AppendUint16(b, i.Op)
	b = append(b, i.Jt, i.Jf)
	return binary.NativeEndian.AppendUint32(b, i.K)
}

// send hands the configuration, the root and the network namespace to the
// constructor.
func send(conn *net.UnixConn, c *Config, root *os.File) error {
	files := []*os.File{root}
	if c.NetNS != nil {
		files = append(files, c.NetNS)
	}
	return withFds(files, func(fds []int) error {
		_, _, err := conn.WriteMsgUnix(encode(c), unix.UnixRights(fds...), nil)
		return err
	})
}

// receive reads struct reply of boot.c: nil once the process is confined.
func receive(conn *net.UnixConn) error {
	b := make([]byte, replySize)
	n, err := conn.Read(b)
	if err != nil {
		return err
	}
	if n != replySize || binary.NativeEndian.Uint32(b) != magic {
		return fmt.Errorf("unexpected answer of %d bytes: does the executable link package confine/boot? %w", n, errdefs.ErrInternal)
	}
	if errno := syscall.Errno(binary.NativeEndian.Uint32(b[4:])); errno != 0 {
		return fmt.Errorf("%s: %w", unix.ByteSliceToString(b[8:]), errno)
	}
	return nil
}

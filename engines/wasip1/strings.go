package wasip1

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/containerd/errdefs"
)

// cstrings are arguments or environment, as the guest gets them: one buffer of
// strings that end in NUL, and a list of pointers into it.
type cstrings struct {
	list []string
	size uint32
}

func newCstrings(what string, list []string) (cstrings, error) {
	var size uint64
	for _, v := range list {
		if strings.IndexByte(v, 0) >= 0 {
			return cstrings{}, fmt.Errorf("%s %q contains a NUL byte: %w", what, v, errdefs.ErrInvalidArgument)
		}
		size += uint64(len(v)) + 1
	}
	if size > math.MaxInt32 || len(list) > math.MaxInt32/4 {
		return cstrings{}, fmt.Errorf("%s of %d bytes is too long: %w", what, size, errdefs.ErrInvalidArgument)
	}
	return cstrings{list: list, size: uint32(size)}, nil
}

func (c cstrings) get(m memory, pointers, buffer uint32) Errno {
	ptrs, ok := m.records(pointers, uint32(len(c.list)), 4)
	if !ok {
		return ErrnoFault
	}
	buf, ok := m.bytes(buffer, c.size)
	if !ok {
		return ErrnoFault
	}
	for i, v := range c.list {
		binary.LittleEndian.PutUint32(ptrs[4*i:], buffer)
		n := copy(buf, v)
		buf[n] = 0
		buf = buf[n+1:]
		buffer += uint32(n) + 1
	}
	return ErrnoSuccess
}

func (c cstrings) sizes(m memory, count, size uint32) Errno {
	if e := m.putUint32(count, uint32(len(c.list))); e != ErrnoSuccess {
		return e
	}
	return m.putUint32(size, c.size)
}

func argsGet(s *System, m memory, a []uint64) Errno {
	return s.args.get(m, uint32(a[0]), uint32(a[1]))
}

func argsSizesGet(s *System, m memory, a []uint64) Errno {
	return s.args.sizes(m, uint32(a[0]), uint32(a[1]))
}

func environGet(s *System, m memory, a []uint64) Errno {
	return s.env.get(m, uint32(a[0]), uint32(a[1]))
}

func environSizesGet(s *System, m memory, a []uint64) Errno {
	return s.env.sizes(m, uint32(a[0]), uint32(a[1]))
}

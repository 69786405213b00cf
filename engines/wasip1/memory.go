package wasip1

import "encoding/binary"

// Bounds on what a guest may ask for in one call.
const (
	// maxPath is PATH_MAX of Linux, which no path of a guest can exceed.
	maxPath = 4096
	// maxIovecs is IOV_MAX of Linux.
	maxIovecs = 1024
	// maxTransfer is how much goes to the kernel at once, so that a kill does not
	// wait for a transfer of gigabytes.
	maxTransfer = 8 << 20
	// maxCount is what Linux transfers at most in one call; buffers may overlap, so
	// that their sum is not bounded by the memory.
	maxCount = 0x7ffff000
)

// memory is the guest's linear memory during one call. Addresses and lengths are
// the guest's and checked here, in 64 bits, where two of 32 cannot overflow.
type memory []byte

// bytes is the part of length n at ptr.
func (m memory) bytes(ptr, n uint32) ([]byte, bool) {
	end := uint64(ptr) + uint64(n)
	if end > uint64(len(m)) {
		return nil, false
	}
	return m[ptr:end:end], true
}

// records is count records of the given size at ptr.
func (m memory) records(ptr, count, size uint32) ([]byte, bool) {
	n := uint64(count) * uint64(size)
	if n > uint64(len(m)) {
		return nil, false
	}
	return m.bytes(ptr, uint32(n))
}

func (m memory) putUint32(ptr, v uint32) Errno {
	b, ok := m.bytes(ptr, 4)
	if !ok {
		return ErrnoFault
	}
	binary.LittleEndian.PutUint32(b, v)
	return ErrnoSuccess
}

func (m memory) putUint64(ptr uint32, v uint64) Errno {
	b, ok := m.bytes(ptr, 8)
	if !ok {
		return ErrnoFault
	}
	binary.LittleEndian.PutUint64(b, v)
	return ErrnoSuccess
}

// path copies a path out of memory, bounded before it is copied.
func (m memory) path(ptr, n uint32) (string, Errno) {
	b, ok := m.bytes(ptr, n)
	if !ok {
		return "", ErrnoFault
	}
	if n >= maxPath {
		return "", ErrnoNametoolong
	}
	return string(b), ErrnoSuccess
}

// iovecs appends the non-empty buffers that the records at ptr describe to list,
// up to maxCount bytes.
func (m memory) iovecs(list [][]byte, ptr, count uint32) ([][]byte, Errno) {
	if count > maxIovecs {
		return list, ErrnoInval
	}
	recs, ok := m.records(ptr, count, sizeIovec)
	if !ok {
		return list, ErrnoFault
	}
	left := maxCount
	for ; len(recs) > 0; recs = recs[sizeIovec:] {
		b, ok := m.bytes(binary.LittleEndian.Uint32(recs), binary.LittleEndian.Uint32(recs[4:]))
		if !ok {
			return list, ErrnoFault
		}
		if b = b[:min(len(b), left)]; len(b) > 0 {
			list = append(list, b)
			left -= len(b)
		}
	}
	return list, ErrnoSuccess
}

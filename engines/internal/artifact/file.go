package artifact

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// File is one recorded file.
type File struct {
	CRC uint32 `json:"crc"` // CRC-32 of IEEE 802.3, which costs no table at the start of a process
	identity
}

// identity changes whenever a file's content is written to or replaced. Reading
// megabytes of machine code to look for damage would take longer than starting the
// guest. The owner and permissions, which a cache changes when it takes an artifact
// over, are no part of it; copies of an artifact have another identity, and are read.
type identity struct {
	Inode    uint64 `json:"inode"`
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds since 1970
}

func stat(path string) (identity, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return identity{}, fmt.Errorf("look at %s: %w", path, err)
	}
	return identity{Inode: st.Ino, Size: st.Size, Modified: st.Mtim.Nano()}, nil
}

func record(path string) (f File, err error) {
	if f.identity, err = stat(path); err != nil {
		return File{}, err
	}
	f.CRC, err = checksum(path)
	return f, err
}

// checksum reads a file piece by piece: it may be large.
func checksum(path string) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // opened for reading
	h := crc32.NewIEEE()
	_, err = io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 128<<10))
	return h.Sum32(), err
}

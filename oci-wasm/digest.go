package ociwasm

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// DigestOf is the digest of a file's bytes; its position does not matter and does
// not change. A file over MaxModuleSize is errdefs.ErrInvalidArgument.
func DigestOf(ctx context.Context, f *os.File) (digest.Digest, error) {
	d := digest.Canonical.Digester()
	n, err := io.Copy(d.Hash(), &ctxReader{ctx, io.NewSectionReader(f, 0, MaxModuleSize+1)})
	if err != nil {
		return "", fmt.Errorf("hashing %s: %w", f.Name(), err)
	}
	if n > MaxModuleSize {
		return "", fmt.Errorf("%s has more than %d bytes: %w", f.Name(), int64(MaxModuleSize), errdefs.ErrInvalidArgument)
	}
	return d.Digest(), nil
}

// memoEntries bounds a DigestMemo.
const memoEntries = 4096

// DigestMemo remembers the digests of modules that are files in a root file system,
// so that a large one is hashed once and not at every start. The zero value is
// ready. Safe for concurrent use.
type DigestMemo struct {
	mu sync.Mutex // guards m
	m  map[memoKey]digest.Digest
}

// memoKey is of one size whatever the names are, which others choose.
type memoKey struct {
	place               [sha256.Size]byte // of layers and path
	dev, ino            uint64
	size, mtime, change int64
}

// settled, which tests change, is how long a file must not have changed to be remembered: until then it can
// change without getting another time, as clocks of file systems tick.
var settled = 2 * time.Second

// Of is DigestOf(f), remembered. layers names the read-only layers that f comes from
// (a chain id or a snapshot key) and path f's place in them. A file that was changed
// since has another size or change time and is hashed again; to be safe against a
// guest that writes at this moment, check the digest of what is used in the end, as
// Cache does.
func (m *DigestMemo) Of(ctx context.Context, layers, path string, f *os.File) (digest.Digest, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", fmt.Errorf("%s: %w", f.Name(), err)
	}
	k := memoKey{
		place: sha256.Sum256([]byte(layers + "\x00" + path)),
		ino:   st.Ino, size: st.Size, mtime: st.Mtim.Nano(), change: st.Ctim.Nano(),
	}
	if layers == "" { // each overlay of the same layers is another device
		k.dev = st.Dev
	}
	m.mu.Lock()
	d, ok := m.m[k]
	m.mu.Unlock()
	if ok {
		return d, nil
	}
	d, err := DigestOf(ctx, f)
	if err != nil {
		return "", err
	}
	if age := time.Since(time.Unix(st.Ctim.Unix())); age < settled {
		return d, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[memoKey]digest.Digest{}
	}
	for old := range m.m {
		if len(m.m) < memoEntries {
			break
		}
		delete(m.m, old) // any: hashing again costs little
	}
	m.m[k] = d
	return d, nil
}

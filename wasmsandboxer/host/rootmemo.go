package host

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"blazar/internal/mnt"
)

// rootMemo remembers root file systems that were mounted, and the modules that were
// found in them: of the next one that is made of the same read-only layers, and in
// which nothing was written yet, both are known without mounting it. The zero value is
// ready. Safe for concurrent use.
type rootMemo struct {
	mu sync.Mutex // guards m
	m  map[rootKey]map[moduleKey]knownModule
}

// rootKey is of one size whatever the layers and mount points are; moduleKey likewise.
type (
	rootKey   [sha256.Size]byte
	moduleKey [sha256.Size]byte
)

// knownModule is a module that was found and checked.
type knownModule struct {
	name   string
	digest digest.Digest
}

// maxRoots and maxRootModules bound the memo.
const (
	maxRoots       = 1024
	maxRootModules = 16
)

func (r *rootMemo) get(root rootKey, module moduleKey) (knownModule, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, ok := r.m[root][module]
	return k, ok
}

func (r *rootMemo) put(root rootKey, module moduleKey, k knownModule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = map[rootKey]map[moduleKey]knownModule{}
	}
	modules := r.m[root]
	if modules == nil || len(modules) >= maxRootModules {
		modules = map[moduleKey]knownModule{}
	}
	modules[module] = k
	for old := range r.m {
		if len(r.m) < maxRoots {
			break
		}
		delete(r.m, old) // any: finding out again costs little
	}
	r.m[root] = modules
}

// layerID tells a read-only layer from another that was put at its path later.
type layerID struct {
	Path         string
	Dev, Ino     uint64
	Changed      int64
	ChangedNanos int64
}

// key is what can make a difference to mounting the files, and to what is found in
// them. ok is false where that is not known: something was written already, which a
// container that is started a second time may have done.
func (p *planned) key() (k rootKey, ok bool) {
	if len(p.root) != 1 || p.root[0].Target != "" {
		return k, false
	}
	l, err := mnt.Directories(p.root[0])
	if err != nil || l.Upper == "" || !empty(l.Upper) {
		return k, false
	}
	what := struct {
		Type, Work string
		Upper      uint64
		Layers     []layerID
		Options    []string
		ReadOnly   bool
		Mounts     []string
	}{Type: p.root[0].Type, Options: l.Options, ReadOnly: p.readOnly}
	var st unix.Stat_t
	if err := unix.Stat(l.Upper, &st); err != nil {
		return k, false
	}
	what.Upper = st.Dev // its file system: whether that can do what is needed
	for _, dir := range l.Lower {
		if err := unix.Stat(dir, &st); err != nil {
			return k, false
		}
		sec, nsec := st.Ctim.Unix()
		what.Layers = append(what.Layers, layerID{dir, st.Dev, st.Ino, sec, nsec})
	}
	for _, m := range p.mounts {
		kind := m.kind
		if m.dir {
			kind += "/"
		}
		what.Mounts = append(what.Mounts, kind, m.target)
	}
	b, err := json.Marshal(what)
	if err != nil {
		return k, false
	}
	return sha256.Sum256(b), true
}

// empty says whether nothing is in a directory.
func empty(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read
	_, err = f.Readdirnames(1)
	return errors.Is(err, io.EOF)
}

// message opens the file for last words before it is where the guest will see it. ok is
// false where that cannot be told from it: something else is mounted over it.
func (p *planned) message(uid uint32) (f *os.File, ok bool) {
	at := messagePath(p.rec.Spec)
	if at == "" {
		return nil, true
	}
	var m *plannedMount
	for _, o := range p.mounts {
		switch {
		case o.target == at:
			m = o
		case m != nil && below(at, o.target):
			return nil, false
		}
	}
	if m == nil || m.made == nil {
		return nil, false
	}
	f, err := reopen(m.made.Root(), messageFlags)
	if err != nil {
		return nil, true // it is a courtesy
	}
	return checkMessage(f, uid), true
}

// below says whether the clean path name is dir, or below it.
func below(name, dir string) bool {
	for ; name != "/"; name = path.Dir(name) {
		if name == dir {
			return true
		}
	}
	return dir == "/"
}

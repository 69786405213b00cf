package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// prepared are the wasm-tasks that blazar serve keeps for pods to come: no leak as long as
// each is a process with a directory of its own.
type prepared struct {
	dir     string
	names   []string
	sockets []string
	procs   int
}

func (n *Node) prepared() (p prepared, err error) {
	sockets := n.path("run", "blazar", "s")
	p.dir = filepath.Join(sockets, "prepared")
	entries, err := os.ReadDir(p.dir)
	if os.IsNotExist(err) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	for _, e := range entries {
		if e.IsDir() {
			p.names = append(p.names, e.Name())
			sum := sha256.Sum256([]byte("/" + e.Name()))
			p.sockets = append(p.sockets, filepath.Join(sockets, hex.EncodeToString(sum[:10])))
		}
	}
	b, err := os.ReadFile(filepath.Join(p.dir, "cgroup.json"))
	if os.IsNotExist(err) {
		return p, nil
	}
	var group struct{ Path string }
	if err == nil {
		err = json.Unmarshal(b, &group)
	}
	if err != nil {
		return p, err
	}
	b, err = os.ReadFile(filepath.Join(n.cgroup.home, group.Path, "cgroup.procs"))
	if err != nil && !os.IsNotExist(err) {
		return p, err
	}
	p.procs = len(strings.Fields(string(b)))
	return p, nil
}

// odd says what is wrong with them; empty for nothing.
func (p *prepared) odd() string {
	if len(p.names) == p.procs {
		return ""
	}
	return fmt.Sprintf("%d prepared wasm-tasks with %d directories", p.procs, len(p.names))
}

// has says whether a file or mount is one of theirs.
func (p *prepared) has(path string) bool {
	base, suffix, _ := strings.Cut(filepath.Base(path), ".")
	if suffix == "task" || suffix == "host" {
		return slices.Contains(p.sockets, filepath.Join(filepath.Dir(path), base))
	}
	return path == p.dir || strings.HasPrefix(path, p.dir+"/")
}

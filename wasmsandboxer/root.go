package wasmsandboxer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"blazar/internal/etcfiles"
	"blazar/internal/mnt"
)

// The pod's root holds mount points and three small files.
const (
	rootSize   = 1 << 20
	rootInodes = 8192
)

// makeRoot mounts the pod's root and writes the files that its containers share.
func (p *pod) makeRoot() error {
	root := p.path(rootName)
	for _, dir := range []string{root, p.path(scratchName), p.path(notesName)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := mnt.UnmountAll(root); err != nil { // of a start that failed
		return err
	}
	d, err := mnt.Tmpfs(mnt.TmpfsOptions{Size: rootSize, Inodes: rootInodes, Mode: 0o755},
		mnt.Attr{NoSUID: true, NoDev: true, NoExec: true, Propagation: mnt.Shared})
	if err != nil {
		return fmt.Errorf("root of the pod: %w", err)
	}
	defer func() { _ = d.Close() }() // attached, or not wanted
	if err := d.AttachAt(root); err != nil {
		return fmt.Errorf("root of the pod: %w", err)
	}
	for _, dir := range []string{"c", "a", "etc"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	return p.writeFiles(filepath.Join(root, "etc"))
}

// writeFiles makes hosts, hostname and resolv.conf for pods that come from CRI.
func (p *pod) writeFiles(dir string) error {
	if p.r.Config.GetMetadata() == nil {
		return nil
	}
	return etcfiles.Write(dir, etcfiles.Options{
		Hostname: p.hostname(), HostNetwork: p.r.NetNS == "", DNS: p.r.Config.GetDnsConfig(),
	})
}

// hostname is the pod's, empty for the host's.
func (p *pod) hostname() string { return etcfiles.Hostname(p.r.Config, p.r.NetNS == "") }

// maxProcs is how many threads of wasm-task run Go at once. It cannot find out
// itself: it sees no /proc.
func maxProcs() string { return strconv.Itoa(min(runtime.NumCPU(), 4)) }

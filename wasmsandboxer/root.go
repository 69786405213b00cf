package wasmsandboxer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

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
	resolv, err := resolvConf(p.r.Config.GetDnsConfig())
	if err != nil {
		return err
	}
	name := p.hostname()
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return err
		}
	}
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if p.r.NetNS == "" {
		b, err := os.ReadFile("/etc/hosts")
		if err != nil {
			return err
		}
		hosts = string(b)
	} else {
		hosts += "127.0.1.1\t" + name + "\n"
	}
	for file, text := range map[string]string{"hosts": hosts, "hostname": name + "\n", "resolv.conf": resolv} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// hostname is the pod's, empty for the host's.
func (p *pod) hostname() string {
	name := p.r.Config.GetHostname()
	if p.r.NetNS == "" || strings.ContainsAny(name, "\n\x00") || len(name) > 64 {
		return ""
	}
	return name
}

// resolvConf writes resolv.conf(5); without a configuration it is the host's.
func resolvConf(c *cri.DNSConfig) (string, error) {
	if c == nil || len(c.Servers)+len(c.Searches)+len(c.Options) == 0 {
		b, err := os.ReadFile("/etc/resolv.conf")
		if err != nil && !os.IsNotExist(err) {
			return "", err
		}
		return string(b), nil
	}
	var s strings.Builder
	line := func(words ...string) error {
		for _, w := range words {
			if strings.ContainsAny(w, "\n\x00") {
				return fmt.Errorf("DNS configuration holds %q: %w", w, errdefs.ErrInvalidArgument)
			}
		}
		s.WriteString(strings.Join(words, " ") + "\n")
		return nil
	}
	var err error
	if len(c.Searches) > 0 {
		err = line(append([]string{"search"}, c.Searches...)...)
	}
	for _, server := range c.Servers {
		if err == nil {
			err = line("nameserver", server)
		}
	}
	if len(c.Options) > 0 && err == nil {
		err = line(append([]string{"options"}, c.Options...)...)
	}
	return s.String(), err
}

// maxProcs is how many threads of wasm-task run Go at once. It cannot find out
// itself: it sees no /proc.
func maxProcs() string { return strconv.Itoa(min(runtime.NumCPU(), 4)) }

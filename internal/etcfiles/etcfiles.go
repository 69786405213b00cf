// Package etcfiles writes the files below /etc that the containers of a pod share:
// hosts, hostname and resolv.conf. A sandboxer makes them, CRI does not.
package etcfiles

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Names are the files that Write writes.
var Names = []string{"hosts", "hostname", "resolv.conf"}

// maxHostname is the kernel's limit, sethostname(2).
const maxHostname = 64

// Options describe a pod.
type Options struct {
	// Hostname is empty for the host's.
	Hostname string
	// HostNetwork pods see the host's hosts.
	HostNetwork bool
	// DNS of nil, or an empty one, means the host's.
	DNS *cri.DNSConfig
}

// Hostname is the name of the host of a pod, empty for that of the machine.
func Hostname(c *cri.PodSandboxConfig, hostNetwork bool) string {
	name := c.GetHostname()
	if hostNetwork || strings.ContainsAny(name, "\n\x00") || len(name) > maxHostname {
		return ""
	}
	return name
}

// Write writes the files into an existing directory.
func Write(dir string, o Options) error {
	resolv, err := resolvConf(o.DNS)
	if err != nil {
		return err
	}
	name := o.Hostname
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return err
		}
	}
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
	if o.HostNetwork {
		b, err := os.ReadFile("/etc/hosts")
		if err != nil {
			return err
		}
		hosts = string(b)
	} else {
		hosts += "127.0.1.1\t" + name + "\n"
	}
	for i, text := range []string{hosts, name + "\n", resolv} {
		if err := os.WriteFile(filepath.Join(dir, Names[i]), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
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

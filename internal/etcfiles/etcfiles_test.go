package etcfiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestWrite(t *testing.T) {
	machine, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	dns := &cri.DNSConfig{Servers: []string{"10.0.0.1", "10.0.0.2"}, Searches: []string{"a.b", "b"}, Options: []string{"ndots:5", "edns0"}}
	for name, c := range map[string]struct {
		o    Options
		want map[string]string
	}{
		"pod": {Options{Hostname: "web", DNS: dns}, map[string]string{
			"hostname":    "web\n",
			"hosts":       "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tweb\n",
			"resolv.conf": "search a.b b\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:5 edns0\n",
		}},
		"host network": {Options{HostNetwork: true, DNS: dns}, map[string]string{"hostname": machine + "\n", "hosts": string(hosts)}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := Write(dir, c.o); err != nil {
				t.Fatal(err)
			}
			for file, want := range c.want {
				got, err := os.ReadFile(filepath.Join(dir, file))
				if err != nil || string(got) != want {
					t.Errorf("%s is %q, want %q (%v)", file, got, want, err)
				}
			}
		})
	}
}

func TestHostsOwnResolvConf(t *testing.T) {
	want, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := Write(dir, Options{Hostname: "x", DNS: &cri.DNSConfig{}}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "resolv.conf"))
	if err != nil || string(got) != string(want) {
		t.Errorf("%q, want that of the host, %q (%v)", got, want, err)
	}
}

func TestHostileConfiguration(t *testing.T) {
	err := Write(t.TempDir(), Options{Hostname: "x", DNS: &cri.DNSConfig{Servers: []string{"1.1.1.1\nnameserver 6.6.6.6"}}})
	if !errdefs.IsInvalidArgument(err) {
		t.Errorf("a line feed in a server: %v", err)
	}
	for _, name := range []string{"a\nb", "a\x00b", strings.Repeat("a", 65)} {
		if got := Hostname(&cri.PodSandboxConfig{Hostname: name}, false); got != "" {
			t.Errorf("host name %q became %q", name, got)
		}
	}
	if got := Hostname(&cri.PodSandboxConfig{Hostname: "a"}, true); got != "" {
		t.Errorf("a pod in the host's network is called %q", got)
	}
	if got := Hostname(&cri.PodSandboxConfig{Hostname: "a"}, false); got != "a" {
		t.Errorf("called %q", got)
	}
}

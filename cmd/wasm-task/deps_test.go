package main

import (
	"os/exec"
	"strings"
	"testing"
)

// heavy are packages that cost wasm-task its fast start or its small size: every
// pod is one of these processes.
var heavy = []string{
	"google.golang.org/grpc", "net/http", "crypto/tls", "k8s.io/cri-api/", "text/template",
	"github.com/containerd/cgroups/v3", "github.com/containerd/cgroups/v3/cgroup1", "github.com/containerd/cgroups/v3/cgroup2",
	"github.com/containerd/containerd/v2/client", "github.com/vishvananda/netlink", "github.com/godbus/dbus/",
	"blazar/oci-wasm", "blazar/sandbox", "blazar/sandbox/controller", "blazar/wasmsandboxer", "blazar/wasmsandboxer/host",
	"blazar/internal/cgroup", "blazar/internal/mnt", "blazar/internal/confine",
}

func TestNothingHeavyIsLinked(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	if len(linked) < 100 {
		t.Fatalf("only %d packages: %s", len(linked), out)
	}
	for _, p := range linked {
		for _, h := range heavy {
			if p == h || strings.HasSuffix(h, "/") && strings.HasPrefix(p, h) {
				t.Errorf("wasm-task links %s", p)
			}
		}
	}
}

package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/node"
)

// podIP is the address that CNI gave the pod.
func podIP(t *testing.T, p *pod) string {
	t.Helper()
	i, err := theNode.InspectPod(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if i.Status.Network.IP == "" {
		t.Fatal("the pod has no address")
	}
	return i.Status.Network.IP
}

// get is the body that a server sends, or what went wrong.
func get(address, path string) string {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + address + path)
	if err != nil {
		return "error: " + err.Error()
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return "error: " + err.Error()
	}
	return string(b)
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/listen", "tcp:8080"))
	k := p.run(t, "serve")
	k.says(t, "serving")
	for range 5 {
		contains(t, get(net.JoinHostPort(podIP(t, p), "8080"), "/"), "hello over http")
	}
}

func TestPortForward(t *testing.T) {
	t.Parallel()
	p := startPod(t, annotate("blazar/listen", "tcp:8080"))
	k := p.run(t, "serve")
	k.says(t, "serving")

	ctx, cancel := context.WithCancel(t.Context())
	cmd := theNode.CrictlCommand(ctx, "port-forward", p.ID, ":8080")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}()
	// "Forwarding from 127.0.0.1:40123 -> 8080"
	line, err := bufio.NewReader(out).ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) < 3 {
		t.Fatalf("crictl port-forward says %q, %v", line, err)
	}
	contains(t, get(fields[2], "/"), "hello over http")
}

// The listener is the pod's: two pods have the same port, the host keeps its own.
func TestListenersOfTwoPods(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "two"} {
		p := startPod(t, annotate("blazar/listen", "tcp:8080"), func(c *runtime.PodSandboxConfig) { c.Metadata.Name += name })
		k := p.run(t, "serve")
		k.says(t, "serving")
		contains(t, get(net.JoinHostPort(podIP(t, p), "8080"), "/"), "hello over http")
	}
}

func TestHostNetwork(t *testing.T) {
	t.Parallel()
	// A port that was free a moment ago.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p := startPod(t, node.HostNetwork, annotate("blazar/listen", "tcp:"+address))
	k := p.run(t, "serve")
	k.says(t, "serving")
	contains(t, get(address, "/"), "hello over http")
}

// Two containers of a pod share its network and its volumes.
func TestTwoContainers(t *testing.T) {
	t.Parallel()
	volume := openDir(t)
	p := startPod(t, annotate("blazar/listen.server", "tcp:8080"))
	share := &runtime.Mount{HostPath: volume, ContainerPath: "/shared"}

	s := p.start(t, named("server", busy("serve")))
	s.says(t, "serving")

	reader := named("reader", busy("wait", "/shared/note"))
	reader.Mounts = []*runtime.Mount{share}
	r := p.start(t, reader)

	writer := named("writer", busy("write", "/shared/note", "from the neighbour"))
	writer.Mounts = []*runtime.Mount{share}
	p.start(t, writer).exits(t, 0)

	r.exits(t, 0)
	contains(t, r.logs(t), "from the neighbour")
	contains(t, get(net.JoinHostPort(podIP(t, p), "8080"), "/"), "hello over http")
	if out := crictl(t, "ps", "-q", "--pod", p.ID); len(strings.Fields(out)) != 1 {
		t.Errorf("running containers: %q, expected the server alone", out)
	}
}

func TestRefusedListener(t *testing.T) {
	t.Parallel()
	for i, listen := range []string{"udp:53", "tcp:notaport", "tcp:70000", "unix:/run/x"} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			p := startPod(t, annotate("blazar/listen", listen))
			contains(t, p.refuse(t, busy("serve")), "blazar/listen", "tcp:PORT")
		})
	}
}

package show

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"blazar/internal/node"
)

// Examples are all of them, in the order in which they are shown.
var Examples = []Example{
	{
		Name: "hello-c", About: "C with clang and wasi-libc: a file in a Linux image (shape A)",
		Containers: []Container{{Image: "hello-c", Says: []string{"hello"}}},
	},
	{
		Name: "hello-c-b", About: "the same in an image of platform wasip1/wasm (shape B)",
		Containers: []Container{{Image: "hello-c-b", Says: []string{"hello"}}},
	},
	{
		Name: "hello-c-c", About: "the same as a layer of its own (shape C)",
		Containers: []Container{{Image: "hello-c-c", Says: []string{"hello"}}},
	},
	{
		Name: "hello-c-d", About: "the same as a wasm artifact (shape D), which needs command: [\"/\"]",
		Containers: []Container{{Image: "hello-c-d", Command: []string{"/"}, Says: []string{"hello"}}},
	},
	{
		Name: "hello-go", About: "Go's own wasip1 port",
		Containers: []Container{{Image: "hello-go", Says: []string{"hello"}}},
	},
	{
		Name: "http", About: "a server in C on a listener that Blazar opened for it",
		Annotations: map[string]string{"blazar/listen": "tcp:8080"},
		Containers: []Container{{
			Image: "http", Ready: "serving", Do: fetch("8080", "/from-c"), Stop: &Stop{Grace: 10},
			Says: []string{"200 OK", "you asked for /from-c", "bye"},
		}},
	},
	{
		Name: "http-go", About: "the same with Go's net/http; SIGTERM closes the listener and lets it finish",
		Annotations: map[string]string{"blazar/listen": "tcp:8080"},
		Containers: []Container{{
			Image: "http-go", Ready: "serving", Do: fetch("8080", "/from-go"), Stop: &Stop{Grace: 10},
			Says: []string{"200 OK", "you asked for /from-go", "bye"},
		}},
	},
	{
		Name: "cpu", About: "nothing but computing", Slow: true,
		Containers: []Container{{Image: "cpu", Args: []string{"2000000"}, Says: []string{"148933 primes"}}},
	},
	{
		Name: "volumes", About: "reads one mounted volume, writes another", Slow: true,
		Containers: []Container{{
			Image: "volumes", Mounts: map[string]string{"in:ro": "/in", "out": "/out"},
			Says: []string{"given by the host", "copied /in/given.txt"},
		}},
	},
	{
		Name: "pair", About: "two containers with a volume between them", Slow: true,
		Containers: []Container{
			{
				Image: "pair", Name: "reader", Args: []string{"read"}, Mounts: map[string]string{"shared:ro": "/shared"},
				Says: []string{"read: line 5 of 5", "done"},
			},
			{
				Image: "pair", Name: "writer", Args: []string{"write"}, Mounts: map[string]string{"shared": "/shared"},
				Says: []string{"wrote 5 lines"},
			},
		},
	},
	{
		Name: "leak", About: "takes memory until its limit of 64 MiB ends it", Slow: true,
		Containers: []Container{{Image: "leak", Memory: 64 << 20, Code: 137, Reason: "OOMKilled", Says: []string{"memory"}}},
	},
	{
		Name: "stubborn", About: "cannot be asked to end, so SIGTERM ends it",
		Containers: []Container{{Image: "stubborn", Ready: "for ever", Stop: &Stop{Grace: 10}, Code: 143}},
	},
	{
		Name: "killed", About: "the same asleep, with SIGKILL",
		Containers: []Container{{Image: "stubborn", Args: []string{"sleep"}, Ready: "for ever", Stop: &Stop{}, Code: 137}},
	},
	{
		Name: "trap", About: "does what WebAssembly does not allow",
		Containers: []Container{{Image: "trap", Code: 134, Says: []string{"unreachable"}}},
	},
	{
		Name: "linux", About: "a Linux image, without a pause container", Handler: node.RuncHandler,
		Containers: []Container{{Image: node.HelloImage, Name: "linux", Says: []string{"hello from linux"}}},
	},
	{
		Name: "mixed", About: "a Linux container in a wasm pod fetches a page of the guest beside it",
		Annotations: map[string]string{"blazar/listen": "tcp:8080"},
		Containers: []Container{
			{Image: "http", Ready: "serving", Stop: &Stop{Grace: 10}, Says: []string{"bye"}},
			{
				Image: node.HelloImage, Name: "sidecar", Args: []string{"get", "8080"}, Ready: "you asked for",
				Says: []string{"hello from linux", "200 OK", "you asked for /from-linux"},
			},
		},
	},
}

// fetch gets a page of the pod's server.
func fetch(port, path string) func(context.Context, *Running) (string, error) {
	return func(ctx context.Context, r *Running) (string, error) {
		url := "http://" + net.JoinHostPort(r.IP, port) + path
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(request)
		if err != nil {
			return "", err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("GET %s: %s: %s", url, response.Status, strings.TrimSpace(string(body))), nil
	}
}

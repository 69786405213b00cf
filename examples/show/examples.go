package show

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Examples are all of them, in the order in which they are shown.
var Examples = []Example{
	{
		Name: "hello-go", About: "Go's own wasip1 port",
		Containers: []Container{{Image: "hello-go", Says: []string{"ello"}}},
	},
	{
		Name: "hello-c", About: "C with clang and wasi-libc",
		Containers: []Container{{Image: "hello-c", Says: []string{"ello"}}},
	},
	{
		Name: "http", About: "an HTTP server on a listener that Blazar opened for it; SIGTERM lets it finish",
		Annotations: map[string]string{"blazar/listen": "tcp:8080"},
		Containers:  []Container{{Image: "http", Do: fetch("8080", "/"), Stop: &Stop{Grace: 10}, Says: []string{"ello"}}},
	},
	{
		Name: "cpu", About: "nothing but computing",
		Containers: []Container{{Image: "cpu"}},
	},
	{
		Name: "volumes", About: "reads one mounted volume, writes another",
		Containers: []Container{{Image: "volumes", Mounts: map[string]string{"in:ro": "/in", "out": "/out"}}},
	},
	{
		Name: "leak", About: "takes memory until its limit of 64 MiB ends it",
		Containers: []Container{{Image: "leak", Memory: 64 << 20, Code: 137, Reason: "OOMKilled"}},
	},
	{
		Name: "stubborn", About: "cannot be asked to end, and is ended at once",
		Containers: []Container{{Image: "stubborn", Ready: "", Stop: &Stop{Grace: 10}, Code: 143}},
	},
	{
		Name: "trap", About: "does what the machine does not allow",
		Containers: []Container{{Image: "trap", Code: 134, Says: []string{"unreachable"}}},
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

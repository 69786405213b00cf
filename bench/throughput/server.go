package throughput

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"blazar/bench/client"
	"blazar/bench/internal/lab"
	"blazar/internal/node"
)

// program is an HTTP server of which there is a guest and a native program.
type program struct {
	// name is that of the example below examples/wasm-images.
	name, what string
	// build are the command lines that build the native program; the output's path
	// follows.
	build []string
	// answer is in every answer.
	answer string
}

var programs = []program{
	{"http", "C, one connection at a time, closed after each answer",
		[]string{"gcc", "-O2", "-w", "-static", "examples/wasm-images/http/http.c", "bench/throughput/native/wasi.c", "-o"}, "hello from C"},
	{"http-go", "Go, net/http, connections are kept",
		[]string{"go", "build", "-trimpath", "-ldflags", "-s -w", "-o"}, "hello from Go"},
}

const port = 8080

// server is a program that runs in a pod with an address of its own.
type server struct {
	name string // the contestant
	pod  *client.Pod
}

func (s *server) url() string { return fmt.Sprintf("http://%s:%d/path", s.pod.IP, port) }

// guest starts the program as a wasm pod.
func (p program) guest(ctx context.Context, c *client.Client, l *lab.Lab, engine string) (*server, error) {
	if err := c.Node.ImportImage(ctx, filepath.Join(l.Images, p.name+".tar")); err != nil {
		return nil, err
	}
	annotations := map[string]string{"blazar/listen": "tcp:" + strconv.Itoa(port)}
	return p.start(ctx, c, engine, client.PodOptions{Name: p.name, Handler: "blazar-" + engine, Annotations: annotations},
		"blazar.example/"+p.name+":latest")
}

// native builds the same source for Linux and starts it as a pod of containerd's own.
func (p program) native(ctx context.Context, c *client.Client, name string) (_ *server, err error) {
	dir, err := os.MkdirTemp("", "throughput-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	args := append(p.build[1:len(p.build):len(p.build)], filepath.Join(dir, "server"))
	if p.build[0] == "go" {
		args = append(args, "./examples/wasm-images/"+p.name)
	}
	for _, argv := range [][]string{
		append([]string{p.build[0]}, args...),
		{"gcc", "-O2", "-static", "bench/throughput/native/listen.c", "-o", filepath.Join(dir, "listen")},
	} {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", p.name, err, out)
		}
	}
	files := map[string][]byte{}
	for _, name := range []string{"server", "listen"} {
		if files[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return nil, err
		}
	}
	layer, err := node.RootfsLayer(files)
	if err != nil {
		return nil, err
	}
	image := &node.Image{
		Name:     "blazar.bench/" + p.name + "-native:latest",
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Entrypoint: []string{"/listen", strconv.Itoa(port), "/server"}},
		Layers:   []node.Layer{layer},
	}
	if err := c.Node.LoadImage(ctx, image); err != nil {
		return nil, err
	}
	return p.start(ctx, c, name, client.PodOptions{Name: p.name, Handler: node.Handler}, image.Name)
}

// start runs the pod and waits for the first answer.
func (p program) start(ctx context.Context, c *client.Client, name string, o client.PodOptions, image string) (_ *server, err error) {
	pod, err := c.RunPod(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &server{name, pod}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s, %s: %w", p.name, name, err), pod.Remove(ctx))
		}
	}()
	if _, err := pod.RunContainer(ctx, node.Container("server", image)); err != nil {
		return nil, err
	}
	return s, await(ctx, s.url(), p.answer)
}

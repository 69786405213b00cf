package linuximage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"blazar/internal/node"
)

// Names of the images that tests start pods of.
const (
	Busybox = "blazar.invalid/busybox:1"
	Nginx   = "blazar.invalid/nginx:1"
	Httpd   = "blazar.invalid/httpd:1"
)

// HostPort is the port on which HostNginx serves in the network of the host: that of
// the conformance tests of CRI.
const HostPort = "12003"

// Image is an image, and the name of its tar without ".tar".
type Image struct {
	Tar string
	*node.Image
}

// All makes all images. cache is the absolute path of a folder that keeps what was
// downloaded, programs that of the Linux programs which the Makefile builds.
func All(ctx context.Context, cache, programs string) ([]Image, error) {
	entries, err := baseLayer(ctx, cache)
	if err != nil {
		return nil, err
	}
	base, err := layer(entries...)
	if err != nil {
		return nil, err
	}
	b := builder{base: base}
	webserver := b.read(filepath.Join(programs, "linux-webserver"))
	nonewprivs := b.read(filepath.Join(programs, "linux-nonewprivs"))
	server := func(program string, args ...string) ocispec.ImageConfig {
		return ocispec.ImageConfig{Entrypoint: append([]string{program}, args...), StopSignal: "SIGQUIT"}
	}
	nginx, httpd := "/usr/sbin/nginx", "/usr/sbin/httpd"

	b.add("busybox", Busybox, ocispec.ImageConfig{Cmd: []string{"sh"}})
	b.add("nginx", Nginx, server(nginx, "80", "/var/run/nginx.pid"), file(nginx[1:], 0o755, webserver))
	b.add("nginx-host", "", server(nginx, HostPort, "/var/run/nginx.pid"), file(nginx[1:], 0o755, webserver))
	b.add("httpd", Httpd, server(httpd, "80"), file(httpd[1:], 0o755, webserver))
	b.add("nonewprivs", "", ocispec.ImageConfig{Entrypoint: []string{"/nnp"}}, file("nnp", 0o4755, nonewprivs))
	b.add("groups", "", ocispec.ImageConfig{Cmd: []string{"sh"}, User: "1000"},
		text("etc/passwd", passwd+"default-user:x:1000:1000::/home:/bin/sh\n"),
		text("etc/group", group+"default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n"))
	for name, user := range map[string]string{
		"user-uid": "1002", "user-name": "www-data", "user-uid-group": "1003:1004", "user-name-group": "www-data:1004",
	} {
		b.add(name, "", ocispec.ImageConfig{Cmd: []string{"sh"}, User: user}, text("which", name))
	}
	// They differ in a file, so that none is another under a second name.
	for _, name := range []string{"test-1", "test-2", "test-3", "test-latest", "test-tag", "test-all", "test-tags", "test-pause"} {
		b.add(name, "", ocispec.ImageConfig{Cmd: []string{"sh"}}, text("which", name))
	}
	return b.images, b.err
}

// builder gathers images, and the first error.
type builder struct {
	base   node.Layer
	images []Image
	err    error
}

func (b *builder) read(path string) []byte {
	content, err := os.ReadFile(path)
	b.err = errors.Join(b.err, err)
	return content
}

// add adds an image of busybox with more files. Without a name it has that of its tar.
func (b *builder) add(tar, name string, config ocispec.ImageConfig, more ...entry) {
	if name == "" {
		name = "blazar.invalid/" + tar + ":1"
	}
	layers := []node.Layer{b.base}
	if len(more) > 0 {
		l, err := layer(more...)
		b.err = errors.Join(b.err, err)
		layers = append(layers, l)
	}
	config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	b.images = append(b.images, Image{Tar: "linux-" + tar, Image: &node.Image{
		Name:     name,
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   config,
		Layers:   layers,
	}})
}

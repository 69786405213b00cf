package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"

	memory "github.com/google/go-containerregistry/pkg/registry"

	ociwasm "blazar/oci-wasm"
	"blazar/oci-wasm/registry"
)

// repositories are the images that the specs name, without the registry's host, and
// the tars that stand for them: pkg/validate in sigs.k8s.io/cri-tools v1.36.0.
var repositories = map[string]string{
	"e2e-test-images/busybox:1.29-2":            "linux-busybox",
	"e2e-test-images/nginx:1.14-2":              "linux-nginx",
	"e2e-test-images/httpd:2.4.39-4":            "linux-httpd",
	"e2e-test-images/nonewprivs:1.3":            "linux-nonewprivs",
	"pause:3.9":                                 "linux-test-pause",
	staging + "test-image-1":                    "linux-test-1",
	staging + "test-image-2":                    "linux-test-2",
	staging + "test-image-3":                    "linux-test-3",
	staging + "test-image-latest":               "linux-test-latest",
	staging + "test-image-tag:test":             "linux-test-tag",
	staging + "test-image-tag:all":              "linux-test-all",
	staging + "test-image-tags:1":               "linux-test-tags",
	staging + "test-image-tags:2":               "linux-test-tags",
	staging + "test-image-tags:3":               "linux-test-tags",
	staging + "test-image-user-uid":             "linux-user-uid",
	staging + "test-image-user-username":        "linux-user-name",
	staging + "test-image-user-uid-group":       "linux-user-uid-group",
	staging + "test-image-user-username-group":  "linux-user-name-group",
	staging + "test-image-predefined-group":     "linux-groups",
	staging + "hostnet-nginx-" + runtime.GOARCH: "linux-nginx-host",
}

const staging = "k8s-staging-cri-tools/"

// serveImages starts a registry on loopback with those images, which lives as long as
// the process, and writes into dir that it is the registry of every host.
func serveImages(ctx context.Context, tars, dir string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: memory.New(memory.Logger(log.New(io.Discard, "", 0)))}
	go func() { _ = server.Serve(listener) }() // ends with the process
	host := listener.Addr().String()
	for name, tar := range repositories {
		if err := push(ctx, filepath.Join(tars, tar+".tar"), host+"/"+name); err != nil {
			return fmt.Errorf("%s as %s: %w", tar, name, err)
		}
	}
	hosts := filepath.Join(dir, "_default", "hosts.toml")
	if err := os.MkdirAll(filepath.Dir(hosts), 0o755); err != nil {
		return err
	}
	return os.WriteFile(hosts, fmt.Appendf(nil, "server = %q\n", "http://"+host), 0o644)
}

func push(ctx context.Context, tar, name string) error {
	layout, err := ociwasm.OpenTar(ctx, tar)
	if err != nil {
		return err
	}
	defer func() { _ = layout.Close() }()
	to, err := registry.Open(name, registry.Options{})
	if err != nil {
		return err
	}
	return to.Push(ctx, layout, layout.Images()[0])
}

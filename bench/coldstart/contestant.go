package main

import (
	"context"
	"path/filepath"

	"blazar/internal/node"
)

// contestant is a way to run a pod that prints a line and ends.
type contestant struct {
	name    string
	handler string
	image   string
	// archive is the image's file below options.images; empty if the node has it.
	archive string
	// annotations of the pod.
	annotations map[string]string
}

// contestants, the one that the others are compared with first.
var contestants = []contestant{
	{name: "runc, pause container", handler: node.Handler, image: node.HelloImage},
	{name: "wasm", handler: "blazar-wasm", image: "blazar.example/hello-c:latest", archive: "hello-c.tar"},
}

// prepare brings the contestant's image to the node.
func (c contestant) prepare(ctx context.Context, n *node.Node, images string) error {
	if c.archive == "" {
		return nil
	}
	return n.ImportImage(ctx, filepath.Join(images, c.archive))
}

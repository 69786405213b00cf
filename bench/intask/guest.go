package intask

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Guest is a program that prints a line and ends, as an image with a module and as a
// native program of the same source.
type Guest struct {
	// Name is that of the example below examples/wasm-images and of the image's archive.
	Name string
	// What it is, for tables.
	What string
	// build is the command line that builds the native program; the output's path
	// follows.
	build []string
	env   []string
}

// Guests are what is run.
var Guests = []Guest{
	{Name: "hello-c", What: "14 KiB, C", build: []string{"gcc", "-O2", "-static", "examples/wasm-images/hello-c/hello.c", "-o"}},
	{Name: "hello-go", What: "2.5 MB, Go", build: []string{"go", "build", "-trimpath", "-ldflags", "-s -w", "-o"}, env: []string{"CGO_ENABLED=0"}},
}

// Image is the name of the guest's image.
func (g Guest) Image() string { return "blazar.example/" + g.Name + ":latest" }

// native builds the program for this machine into dir. The working directory is the
// module's, as with all benchmarks.
func (g Guest) native(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, g.Name)
	args := append(g.build[1:len(g.build):len(g.build)], path)
	if g.build[0] == "go" {
		args = append(args, "./examples/wasm-images/"+g.Name)
	}
	cmd := exec.CommandContext(ctx, g.build[0], args...)
	cmd.Env = append(os.Environ(), g.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", g.Name, err, out)
	}
	return path, nil
}

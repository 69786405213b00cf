package recipe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	ociwasm "blazar/oci-wasm"
)

// Built is what became of a recipe.
type Built struct {
	Recipe *Recipe
	// Module is the path of the bare module.
	Module string
	// Tars are the paths of the images, in the recipe's order.
	Tars []string
	// Changed says that anything was built.
	Changed bool
}

// Build builds a recipe into out, which must exist: NAME.wasm and a tar for each
// image. Several may build into one directory at once, also the same recipe.
func (r *Recipe) Build(ctx context.Context, out string) (*Built, error) {
	out, err := filepath.Abs(out)
	if err != nil {
		return nil, err
	}
	b := &Built{Recipe: r, Module: filepath.Join(out, r.Name+".wasm")}
	build := r.buildC
	if r.Go {
		build = r.buildGo
	}
	if b.Changed, err = build(ctx, out, b.Module); err != nil {
		return nil, fmt.Errorf("building %s: %w", r.Name, err)
	}
	module, err := os.ReadFile(b.Module)
	if err != nil {
		return nil, err
	}
	for _, i := range r.Images {
		name := filepath.Join(out, i.Name+".tar")
		changed, err := i.pack(ctx, module, filepath.Base(b.Module), name)
		if err != nil {
			return nil, fmt.Errorf("packing %s: %w", i.Name, err)
		}
		b.Changed = b.Changed || changed
		b.Tars = append(b.Tars, name)
	}
	return b, nil
}

// pack always packs, which takes milliseconds, and leaves a tar alone that has the
// same bytes already.
func (i Image) pack(ctx context.Context, module []byte, file, name string) (bool, error) {
	o, err := i.options(module, file)
	if err != nil {
		return false, err
	}
	packed, err := ociwasm.Pack(o)
	if err != nil {
		return false, err
	}
	var tarball bytes.Buffer
	if err := ociwasm.WriteTar(ctx, &tarball, packed, packed.Manifest); err != nil {
		return false, err
	}
	return replace(name, tarball.Bytes())
}

// replace writes a file at once, unless it has these bytes already.
func replace(name string, data []byte) (bool, error) {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return false, nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-")
	if err != nil {
		return false, err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return false, errors.Join(err, os.Remove(f.Name()))
	}
	return true, nil
}

// buildGo leaves it to the go command to know what is up to date.
func (r *Recipe) buildGo(ctx context.Context, out, module string) (bool, error) {
	tmp, err := os.MkdirTemp(out, ".go-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	built := filepath.Join(tmp, "module")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", built, ".")
	cmd.Dir = r.Dir
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0")
	if err := run(cmd); err != nil {
		return false, err
	}
	data, err := os.ReadFile(built)
	if err != nil {
		return false, err
	}
	return replace(module, data)
}

// cflags make small modules that keep the names of functions, for traps.
var cflags = []string{
	"--target=wasm32-wasi", "--sysroot=/usr", "-std=gnu11", "-Os", "-Wall", "-Wextra", "-Wno-unused-parameter",
	"-Wl,--strip-debug", "-Wl,--gc-sections",
}

func (r *Recipe) buildC(ctx context.Context, out, module string) (bool, error) {
	version, err := output(exec.CommandContext(ctx, "clang", "--version"))
	if err != nil {
		return false, fmt.Errorf("%w; install clang, lld, wasi-libc and the wasm32 runtime library of that clang (libclang-rt-*-dev-wasm32)", err)
	}
	flags := append(append([]string(nil), cflags...), r.CFlags...)
	stamp, err := r.stamp(version, flags)
	if err != nil {
		return false, err
	}
	stampFile := filepath.Join(out, "."+r.Name+".stamp")
	if old, err := os.ReadFile(stampFile); err == nil && string(old) == stamp {
		if _, err := os.Stat(module); err == nil {
			return false, nil
		}
	}
	tmp, err := os.MkdirTemp(out, ".c-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	built := filepath.Join(tmp, "module")
	cmd := exec.CommandContext(ctx, "clang", append(append(flags, "-o", built), r.Sources...)...)
	cmd.Dir = r.Dir
	if err := run(cmd); err != nil {
		return false, err
	}
	data, err := os.ReadFile(built)
	if err != nil {
		return false, err
	}
	changed, err := replace(module, data)
	if err != nil {
		return false, err
	}
	_, err = replace(stampFile, []byte(stamp))
	return changed, err
}

// stamp is a hash of all that a C module is made of.
func (r *Recipe) stamp(compiler string, flags []string) (string, error) {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q %q %q", compiler, flags, r.text) // a hash never fails
	for _, s := range r.Sources {
		data, err := os.ReadFile(filepath.Join(r.Dir, s))
		if err != nil {
			return "", err
		}
		_, _ = fmt.Fprintf(h, "%q %d %x", s, len(data), sha256.Sum256(data)) // a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func run(cmd *exec.Cmd) error {
	_, err := output(cmd)
	return err
}

func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out), nil
}

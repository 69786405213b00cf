package guestspeed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"blazar/bench/internal/lab"
)

// contestant runs the kernels one way.
type contestant struct {
	name string
	argv []string // NAME and COUNT follow
	env  []string
}

// Names of contestants.
const (
	clangNative = "native, clang -O2"
	gccNative   = "native, gcc -O2"
	cli         = "wasmtime command line"
	plain       = "wasmtime library as its command line"
	plainEpochs = "the same, with epochs"
)

const (
	source = "bench/guestspeed/kernels/kernels.c"
	guest  = "kernels.wasm"
	// noErrno makes a square root an instruction.
	noErrno = "-fno-math-errno"
)

// build builds everything into dir and returns who takes part. The working directory is
// the module's, as with all benchmarks.
func build(ctx context.Context, l *lab.Lab, dir string) (all []contestant, notes []string, err error) {
	in := func(name string) string { return filepath.Join(dir, name) }
	commands := [][]string{
		{"tools/wasm-cc", "-O2", noErrno, "--sysroot=/usr", source, "-o", in(guest)},
		{"clang", "-O2", noErrno, source, "-o", in("clang")},
		{"gcc", "-O2", noErrno, source, "-o", in("gcc")},
		{"go", "build", "-trimpath", "-o", in("plain"), "./bench/guestspeed/plain"},
	}
	for _, argv := range commands {
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
		}
	}
	all = []contestant{{name: clangNative, argv: []string{in("clang")}}, {name: gccNative, argv: []string{in("gcc")}}}
	for _, e := range engineNames {
		switch {
		case !l.Wants(e.contestant, e.from):
			continue
		case e.engine == "wasmedge" && l.WasmEdge == "" && os.Getenv("BLAZAR_WASMEDGE") == "":
			notes = append(notes, "wasmedge takes part where make wasmedge has unpacked it, or BLAZAR_WASMEDGE names it.")
			continue
		}
		c := contestant{name: e.engine, argv: []string{
			filepath.Join(l.Bin, "blazar"), "run", "--engine", e.engine, "--cache", in("cache-" + e.engine), in(guest),
		}}
		if l.WasmEdge != "" {
			c.env = []string{"BLAZAR_WASMEDGE=" + l.WasmEdge}
		}
		all = append(all, c)
	}
	if path, err := exec.LookPath("wasmtime"); err == nil {
		all = append(all, contestant{name: cli, argv: []string{path, "run", in(guest)}})
	} else {
		notes = append(notes, "No wasmtime command line is installed on this machine; the library stands in for it.")
	}
	return append(all,
		contestant{name: plain, argv: []string{in("plain"), in(guest)}},
		contestant{name: plainEpochs, argv: []string{in("plain"), "-epochs", in(guest)}}), notes, nil
}

// engineNames are the engines, by the contestants that they are called on the command
// line.
var engineNames = []struct {
	contestant, engine string
	from               lab.Effort
}{{lab.Wasm, "wasmtime", lab.Smoke}, {"wazero", "wazero", lab.Quick}, {"wasmedge", "wasmedge", lab.Quick}}

// result is what one process did.
type result struct {
	cpu time.Duration // its time in user and system mode
	sum string        // what it computed
}

// run runs a kernel count times in one process.
func (c contestant) run(ctx context.Context, kernel string, count int) (result, error) {
	cmd := exec.CommandContext(ctx, c.argv[0], append(c.argv[1:len(c.argv):len(c.argv)], kernel, strconv.Itoa(count))...)
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return result{}, fmt.Errorf("%s, %s: %w", c.name, kernel, err)
	}
	sum, err := parse(string(out), count)
	if err != nil {
		return result{}, fmt.Errorf("%s, %s: %w", c.name, kernel, err)
	}
	return result{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), sum}, nil
}

// sample is the CPU time that one run of the kernel takes: that of a process with count
// more of them than another, divided by count. What it takes to load and compile a
// module, and who else is busy on the machine, is not in it.
func (c contestant) sample(ctx context.Context, kernel string, count int) (time.Duration, string, error) {
	one, err := c.run(ctx, kernel, 1)
	if err != nil {
		return 0, "", err
	}
	more, err := c.run(ctx, kernel, 1+count)
	if err != nil {
		return 0, "", err
	}
	if one.sum != more.sum {
		return 0, "", fmt.Errorf("%s, %s: computes %s and then %s", c.name, kernel, one.sum, more.sum)
	}
	return max(1, (more.cpu-one.cpu)/time.Duration(count)), one.sum, nil
}

// parse reads count lines with the same checksum, which it returns.
func parse(out string, count int) (string, error) {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != count {
		return "", fmt.Errorf("printed %d lines, not %d", len(lines), count)
	}
	for _, line := range lines {
		if _, err := strconv.ParseUint(line, 10, 64); err != nil || line != lines[0] {
			return "", fmt.Errorf("printed %q first and then %q", lines[0], line)
		}
	}
	return lines[0], nil
}

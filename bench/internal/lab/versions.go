package lab

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"blazar/bench/environment"
	"blazar/internal/version"
)

// Environment describes the machine, before the first measurement, and the programs
// that take part.
func (l *Lab) Environment(ctx context.Context) (*environment.Environment, error) {
	e := environment.Begin()
	blazar, err := buildinfo.ReadFile(filepath.Join(l.Bin, "blazar"))
	if err != nil {
		return nil, fmt.Errorf("%w; make node builds what the benchmarks need", err)
	}
	e.Versions["blazar"] = version.Of(blazar)
	for _, module := range blazar.Deps {
		for name, path := range map[string]string{"wazero": "github.com/tetratelabs/wazero", "Wasmtime": "github.com/bytecodealliance/wasmtime-go/"} {
			if strings.HasPrefix(module.Path, path) {
				e.Versions[name] = module.Version
			}
		}
	}
	for name, prefix := range map[string]string{"runc": "runc version ", "containerd": "containerd "} {
		out, err := exec.CommandContext(ctx, filepath.Join(l.Tools, name), "--version").Output()
		if err != nil {
			return nil, fmt.Errorf("version of %s: %w", name, err)
		}
		first, _, _ := strings.Cut(strings.TrimPrefix(string(out), prefix), "\n")
		// containerd prints its import path, version and revision.
		fields := strings.Fields(first)
		e.Versions[name] = fields[min(len(fields)-1, 1)]
		if name == "runc" {
			e.Versions[name] = fields[0]
		}
	}
	return e, nil
}

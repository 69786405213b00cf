package doctor

import (
	"context"
	"debug/buildinfo"
	"fmt"
)

func checkWasmTask(_ context.Context, h *Host) []Result {
	const (
		name   = "wasm-task"
		remedy = "run `make build` with a C compiler and `blazar install`, or name the binary in the configuration"
	)
	if !h.executable(h.WasmTask) {
		return fail(name, h.WasmTask+" is no executable file", remedy)
	}
	info, err := buildinfo.ReadFile(h.path(h.WasmTask))
	if err != nil {
		return fail(name, fmt.Sprintf("%s: %v", h.WasmTask, err), remedy)
	}
	for _, s := range info.Settings {
		if s.Key == "CGO_ENABLED" && s.Value == "1" {
			return ok(name, h.WasmTask+", built with cgo")
		}
	}
	return fail(name, h.WasmTask+" was built without cgo", remedy+": confinement is done in C before Go starts")
}

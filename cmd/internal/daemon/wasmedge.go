package daemon

import (
	"cmp"
	"os"

	"blazar/internal/config"
	"blazar/internal/wasmedgelib"
)

// WasmEdgePlace is where libwasmedge is to be found, as wasmedgelib.Find takes it.
func WasmEdgePlace(cfg config.Config) string {
	return cmp.Or(cfg.Wasm.WasmEdge, os.Getenv(wasmedgelib.Env))
}

// compilerEnv is the environment of compiling children; nil for the usual one.
func compilerEnv(cfg config.Config) []string {
	place := WasmEdgePlace(cfg)
	if place == "" {
		return nil
	}
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", wasmedgelib.Env + "=" + place}
}

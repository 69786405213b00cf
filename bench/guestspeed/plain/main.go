//go:build cgo

// Command plain runs a module on the Wasmtime library that Blazar links, the way the
// wasmtime command line does by default: Wasmtime's own memories and WASI, and nothing
// that could end the guest. With -epochs the code looks at every loop whether it is to
// end, which is what a guest that can be killed costs.
//
//	plain [-epochs] MODULE.wasm [ARGS…]
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/bytecodealliance/wasmtime-go/v44"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "plain:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	config := wasmtime.NewConfig()
	epochs := len(args) > 0 && args[0] == "-epochs"
	if epochs {
		config.SetEpochInterruption(true)
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("usage: plain [-epochs] MODULE.wasm [ARGS…]")
	}
	engine := wasmtime.NewEngineWithConfig(config)
	code, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	module, err := wasmtime.NewModule(engine, code)
	if err != nil {
		return err
	}
	linker := wasmtime.NewLinker(engine)
	if err := linker.DefineWasi(); err != nil {
		return err
	}
	wasi := wasmtime.NewWasiConfig()
	wasi.SetArgv(args)
	wasi.InheritStdout()
	wasi.InheritStderr()
	store := wasmtime.NewStore(engine)
	store.SetWasi(wasi)
	if epochs {
		store.SetEpochDeadline(1) // the epoch never moves
	}
	instance, err := linker.Instantiate(store, module)
	if err != nil {
		return err
	}
	start := instance.GetFunc(store, "_start")
	if start == nil {
		return errors.New("the module has no _start")
	}
	_, err = start.Call(store)
	var trap *wasmtime.Error
	if errors.As(err, &trap) {
		if status, ok := trap.ExitStatus(); ok {
			os.Exit(int(status))
		}
	}
	return err
}

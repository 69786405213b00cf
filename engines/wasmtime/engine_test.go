//go:build cgo

package wasmtime

import (
	"fmt"
	"os"
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	enginetest.ConfinedMain(New)
	if dir := os.Getenv(firstEnv); dir != "" {
		if err := firstInProcess(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T) engines.Engine {
	e, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestContract(t *testing.T) { enginetest.Run(t, open) }

func TestConfined(t *testing.T) { enginetest.RunConfined(t, open(t)) }

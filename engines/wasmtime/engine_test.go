//go:build cgo

package wasmtime

import (
	"context"
	"fmt"
	"os"
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest"

	"go.uber.org/goleak"
)

// baselineEnv has the confined process run the baseline engine.
const baselineEnv = "BLAZAR_TEST_BASELINE"

func TestMain(m *testing.M) {
	if os.Getenv(baselineEnv) != "" {
		enginetest.ConfinedMain(func(context.Context) (engines.Engine, error) { return tiered{}.Baseline() })
	}
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

func openBaseline(t *testing.T) engines.Engine {
	e, err := tiered{}.Baseline()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestContract(t *testing.T) { enginetest.Run(t, open) }

func TestContractBaseline(t *testing.T) { enginetest.Run(t, openBaseline) }

func TestConfined(t *testing.T) { enginetest.RunConfined(t, open(t)) }

func TestConfinedBaseline(t *testing.T) { enginetest.RunConfined(t, openBaseline(t), baselineEnv+"=1") }

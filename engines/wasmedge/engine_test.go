//go:build cgo && linux && amd64

package wasmedge

import (
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest"
	"blazar/internal/testneeds"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	probe()
	enginetest.ConfinedMain(New)
	goleak.VerifyTestMain(m)
}

// open makes the engine; the library is a need of this package's tests.
func open(t *testing.T) engines.Engine {
	t.Helper()
	e, err := New(t.Context())
	testneeds.NoError(t, err)
	return e
}

func TestContract(t *testing.T) { enginetest.Run(t, open) }

// The confined process finds no files, so it is started with the library.
func TestConfined(t *testing.T) {
	e := open(t)
	enginetest.RunConfined(t, e, "LD_PRELOAD="+libraryPath())
}

//go:build cgo

package wasmtime

import (
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest"
)

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) engines.Engine {
		e, err := New(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
}

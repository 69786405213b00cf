package wazero

import (
	"testing"

	"blazar/engines"
	"blazar/engines/enginetest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) engines.Engine {
	e, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestContract(t *testing.T) { enginetest.Run(t, open) }

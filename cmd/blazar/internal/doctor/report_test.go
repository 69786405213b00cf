package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"blazar/engines"
)

func TestReport(t *testing.T) {
	h := &Host{Engines: fakeEngines{names: []string{"wazero", "wasmtime"}, engines: map[string]engines.Engine{
		"wazero":   described{info: engines.Info{Name: "wazero", Version: "v1", Capabilities: map[string]string{"threads": "yes"}}},
		"wasmtime": described{info: engines.Info{Name: "wasmtime", Version: "v2", Capabilities: map[string]string{"components": "yes\nof course"}}},
	}}}
	checks := []Check{
		func(context.Context, *Host) []Result { return ok("a", "fine") },
		func(context.Context, *Host) []Result { return warn("longer name", "odd", "do this") },
		func(ctx context.Context, _ *Host) []Result {
			if _, limited := ctx.Deadline(); !limited {
				t.Error("a check without a deadline")
			}
			return fail("b", "bad", "do that")
		},
	}
	r := Run(t.Context(), h, checks)
	if !r.Failed() {
		t.Error("not failed")
	}
	if Run(t.Context(), h, checks[:2]).Failed() {
		t.Error("a warning fails")
	}
	var text bytes.Buffer
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ok    a            fine\n",
		"warn  longer name  odd\n                   -> do this\n",
		"1 ok, 1 to look at, 1 failed\n",
		"threads     yes     no\n",
		"components  no      yes of course\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, text.String())
		}
	}
	var raw bytes.Buffer
	if err := r.JSON(&raw); err != nil {
		t.Fatal(err)
	}
	var again Report
	if err := json.Unmarshal(raw.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if len(again.Results) != 3 || again.Results[2] != (Result{Fail, "b", "bad", "do that"}) || again.Engines[1].Name != "wasmtime" {
		t.Errorf("%+v", again)
	}
}

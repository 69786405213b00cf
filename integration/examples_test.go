package integration

import (
	"path/filepath"
	"testing"

	"blazar/examples/show"
)

// Every example image runs as a pod and does what it is an example of.
func TestExamples(t *testing.T) {
	tars, err := filepath.Glob("../.cache/images/*.tar")
	if err != nil || len(tars) == 0 {
		t.Fatalf("no example images: %v; make examples builds them", err)
	}
	for _, tar := range tars {
		if err := theNode.ImportImage(t.Context(), tar); err != nil {
			t.Fatal(err)
		}
	}
	for i := range show.Examples {
		e := &show.Examples[i]
		t.Run(e.Name, func(t *testing.T) {
			t.Parallel()
			results, err := show.Run(t.Context(), theNode, e, openDir(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Wrong != "" {
					t.Errorf("container %s: %s\n%s", r.Container, r.Wrong, r.Log)
				}
				if r.ColdStart <= 0 || r.FirstStart <= 0 {
					t.Errorf("container %s: no cold start", r.Container)
				}
				t.Logf("container %s: cold start %s", r.Container, r.ColdStart)
			}
		})
	}
}

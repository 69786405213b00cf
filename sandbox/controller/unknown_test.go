package controller

import (
	"context"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
)

// A sandbox that nobody knows is removed at the second look, others never.
func TestRemoveUnknown(t *testing.T) {
	d := serve(t, newFaulty(), rootOf(t))
	d.run("known")
	d.run("forgotten")
	d.must(d.tryCreate("being"))
	known := func(_ context.Context, _, id string) (bool, error) { return id == "known", nil }

	suspects, err := d.service.RemoveUnknown(t.Context(), known, nil)
	d.must(err)
	if !slices.Equal(suspects, []string{"forgotten"}) {
		t.Errorf("suspects %v", suspects)
	}
	d.status("forgotten")

	// While it cannot be known, nothing is removed and nothing suspected.
	doubt := func(context.Context, string, string) (bool, error) { return false, errdefs.ErrUnavailable }
	if still, err := d.service.RemoveUnknown(t.Context(), doubt, suspects); !errdefs.IsUnavailable(err) || still != nil {
		t.Errorf("suspects %v, %v", still, err)
	}
	d.status("forgotten")

	suspects, err = d.service.RemoveUnknown(t.Context(), known, suspects)
	d.must(err)
	if len(suspects) > 0 || d.get("forgotten").deleted != 1 {
		t.Errorf("suspects %v, deleted %d times", suspects, d.get("forgotten").deleted)
	}
	d.status("known")
	d.must(d.tryShutdown("known"))
	d.must(d.tryShutdown("being"))
	d.clean()
}

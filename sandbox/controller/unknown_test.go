package controller

import (
	"context"
	"slices"
	"testing"

	api "github.com/containerd/containerd/api/services/sandbox/v1"
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

// A sandbox of the CRI plugin that an earlier daemon created and nobody has started
// is removed too, one of this daemon is not.
func TestRemoveUnknownUnstarted(t *testing.T) {
	f, root := newFaulty(), rootOf(t)
	d := serve(t, f, root)
	create := func(id string) {
		_, err := d.api.Create(d.call(), &api.ControllerCreateRequest{SandboxID: id, Options: sampleOptions(id)})
		d.must(err)
	}
	create("left")
	d.end()
	d = serve(t, f, root)
	create("being")
	unknown := func(context.Context, string, string) (bool, error) { return false, nil }
	suspects, err := d.service.RemoveUnknown(t.Context(), unknown, nil)
	d.must(err)
	if !slices.Equal(suspects, []string{"left"}) {
		t.Errorf("suspects %v", suspects)
	}
	if suspects, err = d.service.RemoveUnknown(t.Context(), unknown, suspects); err != nil || len(suspects) > 0 {
		t.Errorf("suspects %v, %v", suspects, err)
	}
	d.must(d.tryShutdown("being"))
	d.clean()
}

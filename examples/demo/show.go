package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"blazar/examples/show"
	"blazar/internal/node"
)

// showExamples runs the examples one after the other. It goes on after a failure and
// reports the first ones at the end.
func showExamples(ctx context.Context, s *screen, n *node.Node) error {
	volumes, err := os.MkdirTemp("", "blazar-volumes-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(volumes) }()
	var all []show.Result
	var errs []error
	for i := range show.Examples {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e := &show.Examples[i]
		s.heading(e.Name, e.About)
		results, err := show.Run(ctx, n, e, filepath.Join(volumes, e.Name))
		if err != nil {
			s.failure(err.Error())
			errs = append(errs, fmt.Errorf("example %s failed", e.Name))
			continue
		}
		for _, r := range results {
			s.result(&r, len(results) > 1)
			if r.Wrong != "" {
				errs = append(errs, fmt.Errorf("example %s: container %s: %s", r.Example, r.Container, r.Wrong))
			}
		}
		all = append(all, results...)
	}
	s.table(all)
	return errors.Join(errs...)
}

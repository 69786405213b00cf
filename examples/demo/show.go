package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
			return errors.New("interrupted")
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

// leaveUp says how to use a node that stays, and how to end it.
func leaveUp(s *screen, n *node.Node) error {
	if err := n.Keep(); err != nil {
		return errors.Join(err, n.Stop(context.Background()))
	}
	s.say("The node stays up in %s. To use it:", n.Dir)
	s.say("")
	s.say("  alias ncrictl='%s'", strings.Join(n.CrictlArgs(), " "))
	s.say("  ncrictl images")
	s.say("  ncrictl runp --runtime blazar-wasm pod.json")
	s.say("")
	s.say("Logs: %s. To take it down: make stop", filepath.Join(n.Dir, "logs"))
	return nil
}

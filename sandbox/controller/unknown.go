package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/log"

	"blazar/sandbox/state"
)

// Known says whether whoever asked for a sandbox still has it.
type Known func(ctx context.Context, namespace, id string) (bool, error)

// RemoveUnknown deletes the sandboxes that run, or have ended, and that nobody will
// ever ask about again: a daemon that is killed between starting a sandbox and
// saying so is told nothing more of it. A sandbox must have been unknown in the call
// before too; suspects are the ids that it returned.
func (s *Service) RemoveUnknown(ctx context.Context, known Known, suspects []string) (still []string, err error) {
	s.mu.Lock()
	var pods []*pod
	for _, p := range s.pods {
		pods = append(pods, p)
	}
	s.mu.Unlock()
	var errs []error
	for _, p := range pods {
		r, _ := p.now()
		left := r.Phase == state.Created && p.recovered && len(r.Config) > 0 // by a daemon that died before its Start
		if r.Phase != state.Started && r.Phase != state.Stopped && !left {
			continue // its Create or Start is going on, or was not finished and is dealt with
		}
		ok, err := known(ctx, r.Namespace, p.id)
		switch {
		case err != nil:
			return nil, fmt.Errorf("sandbox %q: %w", p.id, err)
		case ok:
		case !slices.Contains(suspects, p.id):
			still = append(still, p.id)
		default:
			log.G(p.logger(ctx)).Warn("removing a sandbox that nobody knows any more")
			errs = append(errs, s.removeUnknown(ctx, p))
		}
	}
	return still, errors.Join(errs...)
}

func (s *Service) removeUnknown(ctx context.Context, p *pod) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.work.Done()
	ctx, cancel := detach(p.logger(ctx), s.config.Timeouts.Stop)
	defer cancel()
	return p.shutdown(ctx)
}

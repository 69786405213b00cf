package host

import (
	"context"
	"os"
)

// settled answers with what can run a guest, but not before the pod's process is wholly
// the pod's, which goes on at the same time.
func (s *Service) settled(ctx context.Context, answer func() (any, []*os.File, error)) (any, []*os.File, error) {
	reply, files, err := answer()
	if err != nil || s.pod.Settled == nil {
		return reply, files, err
	}
	if err := s.pod.Settled(ctx); err != nil {
		for _, f := range files {
			_ = f.Close() // nothing was written
		}
		return nil, nil, err
	}
	return reply, files, nil
}

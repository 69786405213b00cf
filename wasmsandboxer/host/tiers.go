package host

import (
	"context"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/containerd/log"

	"blazar/engines"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/artifact"
	"blazar/wasmsandboxer/podspec"
)

// compiledModule is an artifact, the engine that made and loads it, and why that is a
// baseline engine.
type compiledModule struct {
	*ociwasm.Artifact
	by        engines.Info
	firstTier string
}

// compiled finds the module's artifact, or has it made. Where that takes long, and the
// guest is one of those that it is meant for, the baseline compiler makes the code it
// starts with, and optimised code is made afterwards, for those that come later. m is
// closed when nobody reads it any more.
func (s *Service) compiled(ctx context.Context, c *podspec.Container, e engines.Engine, m *found, exec bool) (*compiledModule, error) {
	full := artifact.Key(m.digest, e.Info())
	if a, err := s.node.Cache.Lookup(full); err == nil {
		m.close()
		return &compiledModule{Artifact: a, by: e.Info()}, nil
	}
	use, why, err := c.FirstTier(s.node.FirstTier, podspec.Work{Size: m.size, Exec: exec, Labels: s.pod.Config.GetLabels()})
	if err != nil {
		m.close()
		return nil, err
	}
	var base engines.Engine
	if use {
		base = baseline(ctx, e)
	}
	if base == nil {
		a, err := s.compiling.do(ctx, m.name, func(ctx context.Context) (*ociwasm.Artifact, error) { return s.makeArtifact(ctx, full, m) })
		return &compiledModule{Artifact: a, by: e.Info()}, err
	}
	first := &compiledModule{by: base.Info(), firstTier: fmt.Sprintf("optimised code was not there, and this is %s", why)}
	fast := artifact.Key(m.digest, base.Info())
	if first.Artifact, err = s.node.Cache.Lookup(fast); err == nil {
		s.later(ctx, full, m)
		s.node.Cache.Promote(full) // one guest after the other would run on baseline code
		return first, nil
	}
	var optimised bool
	first.Artifact, err = s.compiling.do(ctx, m.name, func(turn context.Context) (*ociwasm.Artifact, error) {
		a, err := s.node.Cache.Artifact(turn, fast, m.open)
		if err == nil {
			s.later(ctx, full, m)
			return a, nil
		}
		if turn.Err() != nil {
			return nil, err // m is still read from
		}
		// It does not take every module; and if it fails at one, the other need not.
		log.G(ctx).WithError(err).WithField("module", m.digest).Info("no baseline code: the container waits for optimised code")
		optimised = true
		return s.makeArtifact(turn, full, m)
	})
	if err != nil {
		return nil, err
	}
	if optimised {
		return &compiledModule{Artifact: first.Artifact, by: e.Info()}, nil
	}
	return first, nil
}

// baseline is the engine's baseline engine, nil if it has none.
func baseline(ctx context.Context, e engines.Engine) engines.Engine {
	t, ok := e.(engines.Tiered)
	if !ok {
		return nil
	}
	b, err := t.Baseline()
	if err != nil {
		if !errdefs.IsNotImplemented(err) {
			log.G(ctx).WithError(err).Warn("there is no baseline code")
		}
		return nil
	}
	return b
}

// makeArtifact compiles m, unless somebody did, and closes it.
func (s *Service) makeArtifact(ctx context.Context, key ociwasm.Key, m *found) (*ociwasm.Artifact, error) {
	a, err := s.node.Cache.Artifact(ctx, key, m.open)
	if ctx.Err() == nil {
		m.close() // otherwise the compilation goes on reading: the collector closes it
	}
	return a, err
}

// later makes optimised code of what runs on baseline code, when nobody waits for the
// processor, and closes m.
func (s *Service) later(ctx context.Context, key ociwasm.Key, m *found) {
	logger := log.G(ctx).WithField("module", m.digest)
	s.node.later.do(s.compiling, m.digest.String()+" "+key.Engine, func(ctx context.Context) bool {
		ctx = log.WithLogger(ctx, logger)
		began := time.Now()
		a, err := s.makeArtifact(ociwasm.WithLowPriority(ctx), key, m)
		switch {
		case ctx.Err() != nil && err != nil: // the pod's end; the compilation goes on
		case err != nil:
			log.G(ctx).WithError(err).Warn("there is baseline code only")
		default:
			a.Release()
			if !a.Hit {
				log.G(ctx).WithField("took", time.Since(began).Round(time.Millisecond)).Info("optimised code is there for the next container")
			}
		}
		return err == nil
	}, m.close)
}

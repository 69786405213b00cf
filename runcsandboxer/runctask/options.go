package runctask

import (
	"fmt"
	"path/filepath"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/api/types/runtimeoptions/v1"
	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// decodeOptions reads the options of a request: those of containerd's own runc runtime,
// as ctr sends them, or the `options` table of a runtime handler, which the CRI plugin
// passes as TOML for runtimes that it does not know, with the same keys.
func decodeOptions(a *anypb.Any) (*options.Options, error) {
	o := &options.Options{}
	switch {
	case a == nil:
	case a.MessageName() == "containerd.runc.v1.Options":
		if err := proto.Unmarshal(a.GetValue(), o); err != nil {
			return nil, fmt.Errorf("runtime options: %w: %w", err, errdefs.ErrInvalidArgument)
		}
	case a.MessageName() == "runtimeoptions.v1.Options":
		g := &runtimeoptions.Options{}
		if err := proto.Unmarshal(a.GetValue(), g); err != nil {
			return nil, fmt.Errorf("runtime options: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		var t struct {
			BinaryName, Root, CriuWorkPath           string
			SystemdCgroup, NoPivotRoot, NoNewKeyring bool
		}
		if err := toml.Unmarshal(g.GetConfigBody(), &t); err != nil {
			return nil, fmt.Errorf("options of the runtime handler: %w: %w", err, errdefs.ErrInvalidArgument)
		}
		o.BinaryName, o.Root, o.CriuWorkPath = t.BinaryName, t.Root, t.CriuWorkPath
		o.SystemdCgroup, o.NoPivotRoot, o.NoNewKeyring = t.SystemdCgroup, t.NoPivotRoot, t.NoNewKeyring
	}
	if o.GetRoot() != "" && !filepath.IsAbs(o.GetRoot()) {
		return nil, fmt.Errorf("runtime option Root %q is no absolute path: %w", o.GetRoot(), errdefs.ErrInvalidArgument)
	}
	return o, nil
}

// decodeCheckpoint reads the options of a checkpoint.
func decodeCheckpoint(a *anypb.Any) (*options.CheckpointOptions, error) {
	o := &options.CheckpointOptions{}
	if a == nil || a.MessageName() != "containerd.runc.v1.CheckpointOptions" {
		return o, nil
	}
	if err := proto.Unmarshal(a.GetValue(), o); err != nil {
		return nil, fmt.Errorf("checkpoint options: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return o, nil
}

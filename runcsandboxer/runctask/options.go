package runctask

import (
	"fmt"
	"path/filepath"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// optionsName is the message of containerd's own runc runtime, the only one whose
// options mean something here: clients such as ctr send it. The CRI plugin sends
// runtimeoptions.v1.Options for runtimes that it does not know.
const optionsName = "containerd.runc.v1.Options"

// decodeOptions reads the options of a request.
func decodeOptions(a *anypb.Any) (*options.Options, error) {
	o := &options.Options{}
	if a == nil || string(a.MessageName()) != optionsName {
		return o, nil
	}
	if err := proto.Unmarshal(a.GetValue(), o); err != nil {
		return nil, fmt.Errorf("runtime options: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	if o.GetRoot() != "" && !filepath.IsAbs(o.GetRoot()) {
		return nil, fmt.Errorf("runtime option root %q is no absolute path: %w", o.GetRoot(), errdefs.ErrInvalidArgument)
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

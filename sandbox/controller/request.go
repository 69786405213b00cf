package controller

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"path/filepath"

	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/errdefs"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/sandbox"
	"blazar/sandbox/state"
)

// Keys and forms of what the CRI plugin adds to a sandbox:
// internal/cri/server/podsandbox/helpers.go and internal/cri/store/sandbox/metadata.go
// of containerd.
const (
	metadataKey  = "metadata"
	resourcesKey = "updated-resources"
	configName   = "PodSandboxConfig"
)

type criMetadata struct {
	Metadata struct{ RuntimeHandler string }
}

type criResources struct {
	Overhead, Resources *runtime.LinuxContainerResources
}

// newRecord reads a request to create.
func newRecord(kind, namespace string, r *api.ControllerCreateRequest) (state.Record, error) {
	config, err := configOf(r.GetOptions())
	if err != nil {
		return state.Record{}, err
	}
	netns := r.GetNetnsPath()
	if netns != "" && (!filepath.IsAbs(netns) || filepath.Clean(netns) != netns) {
		return state.Record{}, fmt.Errorf("netns path %q is not absolute and clean: %w", netns, errdefs.ErrInvalidArgument)
	}
	data, err := proto.Marshal(config)
	if err != nil {
		return state.Record{}, err
	}
	annotations := maps.Clone(config.GetAnnotations())
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(annotations, r.GetAnnotations())
	return state.Record{
		ID:             r.GetSandboxID(),
		Kind:           kind,
		Phase:          state.Creating,
		Namespace:      namespace,
		Config:         data,
		NetNS:          netns,
		RuntimeHandler: handlerOf(r.GetSandbox().GetExtensions()[metadataKey]),
		Annotations:    annotations,
	}, nil
}

// configOf unpacks the pod's configuration; callers other than CRI have none.
func configOf(options *anypb.Any) (*runtime.PodSandboxConfig, error) {
	config := &runtime.PodSandboxConfig{}
	if options == nil || options.GetTypeUrl() == "" {
		return config, nil
	}
	// containerd writes "runtime.v1.PodSandboxConfig", protobuf's own way has a
	// host name before it.
	if name := path.Base(options.GetTypeUrl()); name != "runtime.v1."+configName {
		return nil, fmt.Errorf("options are a %q, not a runtime.v1.%s: %w", name, configName, errdefs.ErrInvalidArgument)
	}
	if err := proto.Unmarshal(options.GetValue(), config); err != nil {
		return nil, fmt.Errorf("decode %s: %w: %w", configName, err, errdefs.ErrInvalidArgument)
	}
	return config, nil
}

// handlerOf finds the runtime handler in the CRI plugin's metadata; empty if there
// are none, or of another form.
func handlerOf(metadata *anypb.Any) string {
	var m criMetadata
	if metadata == nil || json.Unmarshal(metadata.GetValue(), &m) != nil {
		return ""
	}
	return m.Metadata.RuntimeHandler
}

// requestOf makes the kind's view of a record.
func (p *pod) requestOf(r state.Record) (*sandbox.Request, error) {
	config := &runtime.PodSandboxConfig{}
	if err := proto.Unmarshal(r.Config, config); err != nil {
		return nil, fmt.Errorf("sandbox %q: recorded configuration: %w: %w", r.ID, err, errdefs.ErrDataLoss)
	}
	return &sandbox.Request{
		ID:             r.ID,
		Namespace:      r.Namespace,
		Dir:            p.service.config.Store.Dir(r.ID),
		Config:         config,
		NetNS:          r.NetNS,
		RuntimeHandler: r.RuntimeHandler,
		Annotations:    r.Annotations,
		Save:           p.save,
	}, nil
}

// updated makes the request that an update asks for.
func updated(old *sandbox.Request, r *api.ControllerUpdateRequest) (*sandbox.Request, error) {
	next := *old
	next.Config = proto.CloneOf(old.Config)
	change := r.GetSandbox().GetExtensions()[resourcesKey]
	if change == nil {
		return &next, nil
	}
	var resources criResources
	if err := json.Unmarshal(change.GetValue(), &resources); err != nil {
		return nil, fmt.Errorf("decode %s: %w: %w", resourcesKey, err, errdefs.ErrInvalidArgument)
	}
	if next.Config.Linux == nil {
		next.Config.Linux = &runtime.LinuxPodSandboxConfig{}
	}
	if resources.Resources != nil {
		next.Config.Linux.Resources = resources.Resources
	}
	if resources.Overhead != nil {
		next.Config.Linux.Overhead = resources.Overhead
	}
	return &next, nil
}

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	api "github.com/containerd/containerd/api/services/sandbox/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"github.com/containerd/typeurl/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"blazar/sandbox"
	"blazar/sandbox/state"
)

// The two states that the CRI plugin knows, as runtime.v1.PodSandboxState spells them.
const (
	stateReady    = "SANDBOX_READY"
	stateNotReady = "SANDBOX_NOTREADY"
)

// taskVersion is the version of the Task API at the address of a pod; with a lower
// one containerd ignores the address.
const taskVersion = 3

// wait blocks until the pod has ended.
func (p *pod) wait(ctx context.Context) (*state.Exit, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for sandbox %q: %w", p.id, ctx.Err())
	case <-p.service.ctx.Done():
		return nil, fmt.Errorf("wait for sandbox %q: the daemon is going down: %w", p.id, errdefs.ErrUnavailable)
	}
	r, _ := p.now()
	return r.Exit, nil
}

// status describes the pod. Its pid is told only while it runs: it may be another
// process's later.
func (p *pod) status(ctx context.Context, verbose bool) *api.ControllerStatusResponse {
	r, sb := p.now()
	response := &api.ControllerStatusResponse{SandboxID: p.id, State: stateNotReady, Version: taskVersion}
	if r.Start != nil {
		response.Address = r.Start.Address
		response.CreatedAt = timestamppb.New(r.Start.CreatedAt)
	}
	switch {
	case r.Exit != nil:
		response.ExitedAt = timestamppb.New(r.Exit.At)
	case r.Phase == state.Started:
		response.State = stateReady
		response.Pid = r.Start.Pid
	}
	if verbose {
		response.Info = p.info(ctx, r, sb)
	}
	return response
}

// info is the verbose status. The key "info" is not used: the CRI plugin puts
// something of its own there.
func (p *pod) info(ctx context.Context, r state.Record, sb sandbox.Sandbox) map[string]string {
	info := maps.Clone(p.service.config.Info)
	if info == nil {
		info = map[string]string{}
	}
	if d, ok := sb.(sandbox.Describer); ok {
		err := guard(ctx, "describe", func() error {
			for k, v := range d.Describe(ctx) {
				info[k] = text(v)
			}
			return nil
		})
		if err != nil {
			info["error"] = err.Error()
		}
	}
	delete(info, "info")
	set := func(key, value string) {
		if value != "" {
			info[key] = value
		}
	}
	set("kind", r.Kind)
	set("phase", string(r.Phase))
	set("namespace", r.Namespace)
	set("netns", r.NetNS)
	set("runtime_handler", r.RuntimeHandler)
	set("state_dir", p.service.config.Store.Dir(p.id))
	if r.Start != nil {
		set("pid", strconv.FormatUint(uint64(r.Start.Pid), 10))
		set("address", r.Start.Address)
	}
	if r.Exit != nil {
		set("exit", text(r.Exit))
	}
	return info
}

// text is a string as it is, and anything else as JSON.
func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// metrics measures the pod. One that does not run is ErrNotFound, which the CRI
// plugin passes over when it lists the statistics of all pods.
func (p *pod) metrics(ctx context.Context) (*types.Metric, error) {
	r, sb := p.now()
	if r.Phase != state.Started || r.Exit != nil {
		return nil, fmt.Errorf("sandbox %q is %s, nothing to measure: %w", p.id, r.Phase, errdefs.ErrNotFound)
	}
	m, ok := sb.(sandbox.Meter)
	if !ok {
		return nil, fmt.Errorf("kind %s does not measure pods: %w", r.Kind, errdefs.ErrNotImplemented)
	}
	var message proto.Message
	err := guard(ctx, "metrics", func() (err error) {
		message, err = m.Metrics(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("metrics of sandbox %q: %w", p.id, err)
	}
	data, err := pack(message)
	if err != nil {
		return nil, fmt.Errorf("metrics of sandbox %q: %w", p.id, err)
	}
	return &types.Metric{Timestamp: timestamppb.New(time.Now()), ID: p.id, Data: data}, nil
}

func pack(message proto.Message) (*anypb.Any, error) {
	if a, ok := message.(*anypb.Any); ok && a != nil {
		return a, nil
	}
	if message == nil {
		return nil, fmt.Errorf("the kind returned nothing: %w", errdefs.ErrInternal)
	}
	return typeurl.MarshalAnyToProto(message)
}

// update changes the pod.
func (p *pod) update(ctx context.Context, r *api.ControllerUpdateRequest) error {
	select {
	case p.updating <- struct{}{}:
		defer func() { <-p.updating }()
	case <-ctx.Done():
		return fmt.Errorf("update sandbox %q: another update is still going on: %w", p.id, ctx.Err())
	}
	p.mu.Lock()
	sb, request, exit := p.sandbox, p.request, p.record.Exit
	p.mu.Unlock()
	u, ok := sb.(sandbox.Updater)
	switch {
	case !ok:
		return fmt.Errorf("kind %s does not update pods: %w", p.service.sandboxer.Kind(), errdefs.ErrNotImplemented)
	case exit != nil:
		return fmt.Errorf("update sandbox %q: it has ended: %w", p.id, errdefs.ErrFailedPrecondition)
	}
	next, err := updated(request, r)
	if err != nil {
		return fmt.Errorf("update sandbox %q: %w", p.id, err)
	}
	if err := guard(ctx, "update", func() error { return u.Update(ctx, next) }); err != nil {
		return fmt.Errorf("update sandbox %q: %w", p.id, err)
	}
	config, err := proto.Marshal(next.Config)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.request = next
	p.mu.Unlock()
	if err := p.write(func(r *state.Record) { r.Config = config }); err != nil {
		log.G(ctx).WithError(err).Warn("the update holds, but a restart of the daemon will forget it")
	}
	return nil
}

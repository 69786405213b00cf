// Package sandbox is what every kind of sandbox (wasm pods, Linux containers,
// microVMs, application kernels) has in common: the contract between the
// Sandbox API server (package controller) and the kind behind it.
//
// Life cycle of a Sandbox: made by Sandboxer.Create or, after a restart of the
// daemon, by Sandboxer.Recover; Start once; Wait any number of times; Stop any
// number of times, also before Start; Delete last, which frees whatever is left
// and may be called in any state, again after it failed. The shell serializes
// Start, Stop and Delete of one sandbox; Wait and the optional interfaces are
// called concurrently with everything. No method may block longer than its
// context lives.
//
// Errors are errdefs kinds wrapped with %w; the shell turns them into codes.
package sandbox

import (
	"context"
	"encoding/json"
	"time"

	"google.golang.org/protobuf/proto"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Sandboxer makes the sandboxes of one kind. Safe for concurrent use.
type Sandboxer interface {
	// Kind is the word that names the kind: wasm, runc, vmm, gvisor, quark.
	Kind() string
	// Create makes a sandbox. Nothing of it runs yet; what it allocates (a uid, a
	// directory, a cgroup) is derived from the request or saved with
	// Request.Save first, so that Recover finds it after a crash. After an error
	// nothing of it is left.
	Create(ctx context.Context, r *Request) (Sandbox, error)
	// Recover makes a sandbox again from what was recorded. When its process is
	// gone the sandbox is returned all the same, Wait answers at once, and Delete
	// cleans up. An error means that nothing can be known of it.
	Recover(ctx context.Context, r *Request, saved json.RawMessage) (Sandbox, error)
}

// Recovered is a Sandboxer that is to know when everything was recovered that the last
// daemon left: what it finds then belongs to no sandbox. It is called once, before any
// Create.
type Recovered interface {
	Recovered(ctx context.Context)
}

// Sandbox is one pod.
type Sandbox interface {
	// Start runs the pod; when it returns, the Task API answers at Started.Address.
	// After an error nothing of the pod runs, Delete is still called, at once: the
	// caller has forgotten the pod by then.
	Start(ctx context.Context) (*Started, error)
	// Stop ends every process of the pod and returns when they are gone; Wait then
	// answers. The context's deadline is the time for an orderly end. It is also
	// called after the pod has ended by itself.
	Stop(ctx context.Context) error
	// Wait blocks until the pod's process has ended, or was never started and
	// Stop was called.
	Wait(ctx context.Context) (*Exit, error)
	// Delete frees everything: mounts, cgroups, directories, sockets.
	Delete(ctx context.Context) error
}

// Meter is a Sandbox that measures itself: a cgroups v1 or v2 Metrics message,
// whichever the host uses (containerd's statistics fail on anything else), or an
// *anypb.Any that holds one. It is not asked once the pod has ended.
type Meter interface {
	Metrics(ctx context.Context) (proto.Message, error)
}

// Describer is a Sandbox with more to say to a person who debugs it; the values
// appear, as JSON where they are no strings, in the verbose status. "engine" and
// "paths" are expected; "info" is the CRI plugin's own and left out.
type Describer interface {
	Describe(ctx context.Context) map[string]any
}

// Updater is a Sandbox that can change while it runs.
type Updater interface {
	// Update gets the request with its Resources and Annotations as they shall be.
	Update(ctx context.Context, r *Request) error
}

// Request is what the caller asked for. It does not change after Create but by
// Updater.Update.
type Request struct {
	// ID is containerd's sandbox id, already checked to be a safe file name.
	ID string
	// Namespace is containerd's namespace, "k8s.io" for pods.
	Namespace string
	// Dir is an existing root-only directory of the sandbox's own on a volatile
	// file system; the shell removes it after Delete.
	Dir string
	// Config is CRI's configuration of the pod, never nil (empty for callers other
	// than CRI). Every field is untrusted.
	Config *runtime.PodSandboxConfig
	// NetNS is the path of the pod's network namespace, empty for the host's.
	NetNS string
	// RuntimeHandler is the handler the pod asked for, empty if unknown.
	RuntimeHandler string
	// Annotations are those of the pod and of the sandbox, merged; never nil.
	Annotations map[string]string
	// Save records the kind's own state durably enough to survive the daemon (not
	// the machine); it replaces what was saved before. Set by the shell.
	Save func(ctx context.Context, private any) error
}

// Started says where a pod runs.
type Started struct {
	// Pid is a process on the host whose namespaces are the pod's; 0 where a pod has
	// none, and the task server knows without one where they are.
	Pid uint32
	// Address of the Task API, version 3: ttrpc+unix:///path and the like.
	Address string
	// CreatedAt is when the pod started.
	CreatedAt time.Time
	// Labels are returned to containerd.
	Labels map[string]string
}

// Exit says how a pod ended.
type Exit struct {
	Status uint32
	At     time.Time
	// Reason is for people; empty after an orderly Stop.
	Reason string
}

package node

import (
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// podCount makes the uids of pods unique within the process.
var podCount atomic.Uint64

// Pod returns the configuration of a pod with a name, a log directory and a cgroup
// parent of the node's; callers add to it.
func (n *Node) Pod(name string) *runtime.PodSandboxConfig {
	uid := fmt.Sprintf("%s-%d", name, podCount.Add(1))
	return &runtime.PodSandboxConfig{
		Metadata:     &runtime.PodSandboxMetadata{Name: name, Namespace: "default", Uid: uid},
		LogDirectory: n.path("pods", uid),
		Linux:        &runtime.LinuxPodSandboxConfig{CgroupParent: n.CgroupParent()},
		Labels:       map[string]string{},
		Annotations:  map[string]string{},
	}
}

// HostNetwork puts a pod into the host's network.
func HostNetwork(pod *runtime.PodSandboxConfig) {
	pod.Linux.SecurityContext = &runtime.LinuxSandboxSecurityContext{
		NamespaceOptions: &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE},
	}
}

// Container returns the configuration of a container whose log is <name>.log in its
// pod's log directory.
func Container(name, image string, command ...string) *runtime.ContainerConfig {
	return &runtime.ContainerConfig{
		Metadata: &runtime.ContainerMetadata{Name: name},
		Image:    &runtime.ImageSpec{Image: image, UserSpecifiedImage: image},
		Command:  command,
		LogPath:  name + ".log",
		Linux:    &runtime.LinuxContainerConfig{},
		Labels:   map[string]string{},
	}
}

// CRI connects to containerd's CRI services, for what is measured in milliseconds;
// the caller closes the connection.
func (n *Node) CRI() (*grpc.ClientConn, error) {
	return dial(n.Containerd())
}

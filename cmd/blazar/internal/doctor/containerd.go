package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	introspection "github.com/containerd/containerd/api/services/introspection/v1"
	versionapi "github.com/containerd/containerd/api/services/version/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Containerd is a running daemon.
type Containerd struct {
	Version string
	// Path are the directories it looks for shims in: those of its PATH, then the
	// one of its own binary.
	Path []string
	// CapSysResource says whether the process has CAP_SYS_RESOURCE.
	CapSysResource bool
	// Sandboxers are the names of the proxy plugins of type sandbox it has loaded.
	Sandboxers []string
	// CRI is its CRI plugin's configuration; nil when CRIErr is set.
	CRI    *CRI
	CRIErr error
}

// sandboxPlugin is containerd's plugin type of sandbox controllers (plugins/types.go).
const sandboxPlugin = "io.containerd.sandbox.controller.v1"

// Ask connects to the daemon at the unix socket address and lets it describe itself.
func Ask(ctx context.Context, address string) (*Containerd, error) {
	pid, err := peer(ctx, address)
	if err != nil {
		return nil, err
	}
	conn, err := grpc.NewClient("unix://"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // every answer has been read by then

	c := &Containerd{}
	v, err := versionapi.NewVersionClient(conn).Version(ctx, &emptypb.Empty{})
	if err != nil {
		return nil, fmt.Errorf("ask its version: %w", err)
	}
	c.Version = v.Version
	plugins, err := introspection.NewIntrospectionClient(conn).Plugins(ctx, &introspection.PluginsRequest{Filters: []string{"type==" + sandboxPlugin}})
	if err != nil {
		return nil, fmt.Errorf("ask its plugins: %w", err)
	}
	for _, p := range plugins.Plugins {
		if p.InitErr == nil {
			c.Sandboxers = append(c.Sandboxers, p.ID)
		}
	}
	c.CRI, c.CRIErr = askCRI(ctx, conn)
	return c, c.readProcess(pid)
}

// askCRI reads the configuration out of the verbose status.
func askCRI(ctx context.Context, conn *grpc.ClientConn) (*CRI, error) {
	r, err := cri.NewRuntimeServiceClient(conn).Status(ctx, &cri.StatusRequest{Verbose: true})
	if err != nil {
		return nil, fmt.Errorf("ask CRI's status: %w", err)
	}
	var c CRI
	if err := json.Unmarshal([]byte(r.Info["config"]), &c); err != nil {
		return nil, fmt.Errorf("read CRI's configuration: %w", err)
	}
	return &c, nil
}

// peer returns the process id of the daemon that listens at address.
func peer(ctx context.Context, address string) (int32, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }() // nothing was written
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return cred.Pid, nil
}

// readProcess fills what only the daemon's process tells.
func (c *Containerd) readProcess(pid int32) error {
	dir := filepath.Join("/proc", strconv.Itoa(int(pid)))
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil {
		return fmt.Errorf("read the environment of containerd, process %d: %w", pid, err)
	}
	for _, v := range strings.Split(string(environ), "\x00") {
		if path, ok := strings.CutPrefix(v, "PATH="); ok {
			c.Path = filepath.SplitList(path)
		}
	}
	if exe, err := os.Readlink(filepath.Join(dir, "exe")); err == nil {
		c.Path = append(c.Path, filepath.Dir(exe))
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return fmt.Errorf("read the capabilities of containerd, process %d: %w", pid, err)
	}
	c.CapSysResource = hasCapability(string(status), unix.CAP_SYS_RESOURCE)
	return nil
}

// hasCapability looks into the effective set of a /proc/PID/status.
func hasCapability(status string, capability int) bool {
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return err == nil && set&(1<<capability) != 0
		}
	}
	return false
}

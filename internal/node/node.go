package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what a node is made of. The zero value of everything but Bin and
// Tools will do.
type Config struct {
	// Bin is the folder of Blazar's programs: blazar, wasm-task and the shim.
	Bin string
	// Tools is the folder of containerd, ctr, crictl, runc and the static Linux
	// programs linux-pause and linux-hello.
	Tools string
	// Dir is the node's folder; it must not exist. Its path is short, because the
	// sockets below it must stay under 108 bytes. Empty makes one.
	Dir string
	// LinuxOnly leaves blazar serve out.
	LinuxOnly bool
	// Kinds are the kinds of pods that blazar serve serves; DefaultKinds when empty.
	Kinds []string
	// ServeArgs are more arguments of blazar serve, TaskdArgs of blazar taskd.
	ServeArgs, TaskdArgs []string
	// OCIRuntime is the path of the program that runs the containers of blazar-runc;
	// empty means the runc of Tools.
	OCIRuntime string
	// Sandboxers are more proxy plugins of containerd of the type sandbox: sockets by
	// name. Whoever starts the node serves them.
	Sandboxers map[string]string
	// Runtimes are more runtime handlers: their tables in the configuration of CRI,
	// by name.
	Runtimes map[string]map[string]any
	// Registries is containerd's folder of registries' hosts.toml; empty leaves the
	// registries as they are.
	Registries string
	// PortMap lets pods have ports of the host. It takes iptables, and writes into the
	// tables of the network namespace that the node is in.
	PortMap bool
}

// Node is a running node.
type Node struct {
	// Dir is the node's folder.
	Dir string

	state     record
	cgroup    *nodeCgroup
	processes map[string]*process
	baseline  []string // files of blazar serve before the first pod
}

// record is what Open needs to know of a node.
type record struct {
	Config  Config
	Name    string // of cgroups, bridge and CNI network
	Network network
	Owner   owner
}

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
	recordName   = "node.json"
	// DirPrefix starts the names of the folders that Start makes.
	DirPrefix = "/var/tmp/bz-"
)

// Start starts a node and returns when pods can be run on it. After an error
// nothing of it is left.
func Start(ctx context.Context, c Config) (_ *Node, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a node needs root: it makes network namespaces, mounts and cgroups")
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	dir, err := makeDir(c.Dir)
	if err != nil {
		return nil, err
	}
	n := &Node{
		Dir:       dir,
		state:     record{Config: c, Name: "bz" + nameSuffix(dir)},
		processes: map[string]*process{},
	}
	if len(n.state.Config.Kinds) == 0 {
		n.state.Config.Kinds = DefaultKinds
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			err = fmt.Errorf("start node: %w%s", err, n.logTails())
			err = errors.Join(err, n.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := n.prepare(); err != nil {
		return nil, err
	}
	if !c.LinuxOnly {
		if err := n.copyPrograms(); err != nil {
			return nil, err
		}
		if err := n.startBlazar(ctx); err != nil {
			return nil, err
		}
	}
	if err := n.startContainerd(ctx); err != nil {
		return nil, err
	}
	if err := n.importLinuxImages(ctx); err != nil {
		return nil, err
	}
	if n.baseline, err = n.blazarFiles(); err != nil {
		return nil, err
	}
	return n, nil
}

// Open finds the node in dir, which another process started.
func Open(dir string) (*Node, error) {
	b, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	n := &Node{Dir: dir, processes: map[string]*process{}}
	if err := json.Unmarshal(b, &n.state); err != nil {
		return nil, fmt.Errorf("open node %s: %w", dir, err)
	}
	n.cgroup = findCgroup(n.state.Name)
	return n, nil
}

// prepare makes everything that must be there before the first process.
func (n *Node) prepare() (err error) {
	for _, d := range []string{"containerd", "state", "tmp", "opt", "cni", "logs", "pods", "blazar", "run"} {
		if err := os.Mkdir(filepath.Join(n.Dir, d), 0o700); err != nil {
			return err
		}
	}
	// Saved before anything is made that outlives a crash of this process.
	if n.state.Network, err = chooseNetwork(n.state.Name); err != nil {
		return err
	}
	if n.state.Owner, err = thisProcess(); err != nil {
		return err
	}
	if err := n.save(); err != nil {
		return err
	}
	if err := n.mountVolatile(); err != nil {
		return err
	}
	if n.cgroup, err = makeCgroup(n.state.Name); err != nil {
		return err
	}
	if err := n.state.Network.create(); err != nil {
		return err
	}
	if err := n.state.Network.writeCNI(n.path("cni"), n.path("cni-data"), n.state.Config.PortMap); err != nil {
		return err
	}
	for _, empty := range []string{"crictl.yaml", "blazar.toml"} {
		if err := os.WriteFile(n.path(empty), nil, 0o600); err != nil {
			return err
		}
	}
	return n.writeConfig()
}

// programs are Blazar's.
func (c *Config) programs() []string {
	all := []string{"blazar", "wasm-task", "containerd-shim-blazar-v1"}
	if slices.Contains(c.Kinds, Runc) {
		all = append(all, "pod-reaper")
	}
	return all
}

// copyPrograms takes Blazar's programs into the node: a restart within a test must
// not meet what somebody has built meanwhile.
func (n *Node) copyPrograms() error {
	if err := os.Mkdir(n.path("bin"), 0o755); err != nil {
		return err
	}
	for _, name := range n.state.Config.programs() {
		if err := copyProgram(filepath.Join(n.state.Config.Bin, name), n.path("bin", name)); err != nil {
			return err
		}
	}
	// Without it blazar does what it does.
	err := copyProgram(filepath.Join(n.state.Config.Bin, "blazard"), n.path("bin", "blazard"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// copyProgram copies as cp and packages do. A program that is written at once lies in
// the page cache in folios of 2 MiB, each of which is mapped whole: its process then
// seems to hold twice the memory.
func copyProgram(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read from
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, 128<<10))
	return errors.Join(err, out.Close())
}

// volatile are the folders that are below /run on a machine: there a record costs no
// writing to a disk, and here it should not either.
func (n *Node) volatile() []string { return []string{n.path("state"), n.path("run")} }

func (n *Node) mountVolatile() error {
	for _, dir := range n.volatile() {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0711"); err != nil {
			return fmt.Errorf("mount tmpfs on %s: %w", dir, err)
		}
	}
	return nil
}

func (n *Node) save() error {
	b, err := json.MarshalIndent(n.state, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(n.Dir, recordName), b, 0o600)
}

// check finds what is missing before anything was made.
func (c *Config) check() error {
	for dir, names := range map[string][]string{
		c.Tools: {"containerd", "ctr", "crictl", "runc", "containerd-shim-runc-v2", "linux-pause", "linux-hello"},
		c.Bin:   c.programs(),
	} {
		if c.LinuxOnly && dir == c.Bin {
			continue
		}
		for _, name := range names {
			if err := unix.Access(filepath.Join(dir, name), unix.X_OK); err != nil {
				return fmt.Errorf("program %s: %w; make node builds it", filepath.Join(dir, name), err)
			}
		}
	}
	if c.PortMap {
		if _, err := exec.LookPath("iptables"); err != nil {
			return fmt.Errorf("ports of the host: %w; make test-deps installs it", err)
		}
	}
	if cniPlugins() == "" {
		return errors.New("the CNI plugins bridge, host-local and loopback are missing; make deps installs Debian's containernetworking-plugins")
	}
	return nil
}

// makeDir makes the node's folder. Users of a pod's user namespace reach their root file
// systems through it; they list nothing of it.
func makeDir(dir string) (_ string, err error) {
	if dir == "" {
		dir, err = os.MkdirTemp(filepath.Dir(DirPrefix), filepath.Base(DirPrefix))
	} else if dir, err = filepath.Abs(dir); err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711)
}

// nameSuffix makes names out of a folder: at most ten characters, so that "bz" and
// the suffix are a valid name of a network interface.
func nameSuffix(dir string) string {
	var s []byte
	for _, b := range []byte(filepath.Base(dir)) {
		if b >= '0' && b <= '9' || b >= 'a' && b <= 'z' {
			s = append(s, b)
		}
	}
	if len(s) > 10 {
		s = s[len(s)-10:]
	}
	return string(s)
}

func (n *Node) path(elem ...string) string {
	return filepath.Join(append([]string{n.Dir}, elem...)...)
}

// Handler is the runtime handler of pods of stock containerd with a pause container.
const Handler = "runc"

// Containerd is the path of containerd's socket.
func (n *Node) Containerd() string { return n.path("c.sock") }

// CgroupParent is the cgroup that the pods of the node belong below.
func (n *Node) CgroupParent() string { return "/" + n.state.Name + "/pods" }

// Bridge is the name of the node's bridge.
func (n *Node) Bridge() string { return n.state.Network.Bridge }

// Package sandboxtest is the suite that every kind of sandbox passes. It drives a
// real Controller over gRPC on a unix socket and the real Task API of the pods, as
// containerd does, restarts the daemon under them, kills their processes, and looks
// after every case for what is left: processes, mounts, cgroups, descriptors,
// goroutines, files.
//
// A kind supplies a Harness; what it cannot do it says with Lacks, and the suite then
// checks that it is refused properly.
package sandboxtest

import (
	"os"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/sandbox"
	"blazar/sandbox/task/taskapi"
)

// Kind is what the suite runs on.
type Kind struct {
	// New prepares a node with nothing on it, for one case.
	New func(t *testing.T) *Harness
	// Lacks names the abilities that the kind does not have.
	Lacks []Ability
}

// Ability is something that not every kind can do.
type Ability string

// The abilities that a kind may lack.
const (
	Pausing  Ability = "pausing"   // Task.Pause and Resume
	Terminal Ability = "terminal"  // containers with a terminal
	Deaf     Ability = "deaf"      // a program may ignore SIGTERM
	StatsOf  Ability = "stats"     // Task.Stats
	MetricOf Ability = "metrics"   // Controller.Metrics
	HostPids Ability = "host pids" // the pid of a container is a process of its own
	// OwnServer: the process that serves the Task API is the pod's, and ends with it. A
	// kind without it has one for all pods of the node.
	OwnServer Ability = "own task server"
	// LateFailure: a program that cannot be started fails its Start. A kind without it
	// finds out earlier and fails its Create, or Exec, and nothing of it stays.
	LateFailure Ability = "late failure"
)

// Harness is one node, as the kind sees it.
type Harness struct {
	// Root is the directory below which the kind keeps everything that it makes on
	// the host. The suite puts the records and the socket there too, so it must be
	// short: at most 24 bytes. Below its "t" a harness may put what is its own.
	Root string
	// NewSandboxer makes the kind's Sandboxer, as the daemon does when it starts. It
	// is called again after close, which ends what the Sandboxer owns and leaves the
	// pods running, as the end of the daemon would.
	NewSandboxer func(t testing.TB) (s sandbox.Sandboxer, close func())
	// Config is the configuration of a pod and its network namespace; nil for none.
	Config func(t testing.TB, id string) (c *runtime.PodSandboxConfig, netns string)
	// Bundle prepares the existing empty directory as the bundle of a container that
	// runs a program, and returns the rest of the request: Rootfs and Options. The
	// suite fills in the id, the bundle and the stdio.
	Bundle func(t testing.TB, pod, container, bundle string, p Program) *taskapi.CreateTaskRequest
	// Exec describes a program to be run in a container.
	Exec func(t testing.TB, p Program) *specs.Process
	// IO makes or finds the directory for the FIFOs of a container and its execs; nil
	// for one of the suite's own.
	IO func(t testing.TB, pod, container string) string
	// Leaks returns what the kind itself finds left over; nil if it has nothing to say.
	Leaks func() []string
}

// Program is what a container runs:
//
//	exit N       exits with N
//	echo O E     writes O and a newline to stdout, E and a newline to stderr, exits with 0
//	cat          copies stdin to stdout, exits with 0 at its end
//	fill N       writes N bytes to stdout, which repeat 0…250, exits with 0
//	sleep        writes "sleeping" and a newline, then sleeps for ever
//	spin         computes for ever
//	deaf         ignores SIGTERM, writes "deaf" and a newline, sleeps for ever
//	unstartable  exists for the request, but cannot be started
type Program struct {
	Args     []string
	Terminal bool
}

// run is one case on one node.
type suite struct {
	kind Kind
}

func (s *suite) lacks(a Ability) bool {
	for _, l := range s.kind.Lacks {
		if l == a {
			return true
		}
	}
	return false
}

// Run runs the suite. It makes this process the reaper of orphans while it runs, to
// see processes that a pod leaves behind.
func Run(t *testing.T, k Kind) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	})
	s := &suite{kind: k}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := k.New(t)
			if len(h.Root) > 24 {
				t.Fatalf("root %s is longer than 24 bytes", h.Root)
			}
			if _, err := os.Stat(h.Root); err != nil {
				t.Fatal(err)
			}
			n := newNode(t, s, h)
			c.run(n)
			n.end()
		})
	}
}

// cases are all cases of the suite.
var cases = []struct {
	name string
	run  func(n *node)
}{
	{"life of a pod", lifeOfPod},
	{"unknown pods", unknownPods},
	{"hostile requests", hostileRequests},
	{"out of order", outOfOrder},
	{"twice", twice},
	{"at the same time", atTheSameTime},
	{"abandoned creates and starts", abandoned},
	{"life of a container", lifeOfContainer},
	{"exit codes", exitCodes},
	{"signals", signals},
	{"out of order in a container", containerOutOfOrder},
	{"failed start of a container", failedStart},
	{"exec", execs},
	{"input", input},
	{"20 MiB of output", muchOutput},
	{"terminal", terminal},
	{"pause", pause},
	{"several containers", severalContainers},
	{"task version 2", taskV2},
	{"shutdown with containers", shutdownWithContainers},
	{"restart of the daemon", restart},
	{"restart in every phase", restartPhases},
	{"end of a pod during a restart", endDuringRestart},
	{"death of a pod", deathOfPod},
	{"death of many pods", deathOfMany},
}

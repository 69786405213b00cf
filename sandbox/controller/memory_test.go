package controller

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/containerd/log"
)

// A pod costs the daemon little: records, goroutines and the blocked Wait of
// containerd all counted, the kind and its client not.
func TestMemoryPerPod(t *testing.T) {
	if raceEnabled {
		t.Log("figures under the race detector mean nothing; the pods are started all the same")
	}
	level := log.GetLevel()
	if err := log.SetLevel("error"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := log.SetLevel(level.String()); err != nil {
			t.Error(err)
		}
	}()
	d := serve(t, newFaulty(), rootOf(t))
	d.healthy() // warm
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := inUse()
	c := exec.CommandContext(t.Context(), "/proc/self/exe")
	c.Env = []string{clientEnv + "=" + filepath.Join(d.root, "c.sock")}
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	d.must(err)
	stdout, err := c.StdoutPipe()
	d.must(err)
	d.must(c.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "ready\n" {
		t.Fatalf("client: %q, %v", line, err)
	}
	per := (int64(inUse()) - int64(before)) / clientPods
	t.Logf("%d bytes per pod", per)
	if per > 50<<10 && !raceEnabled {
		t.Errorf("a pod costs %d bytes, more than 50 KiB", per)
	}
	d.must(stdin.Close())
	d.must(c.Wait())
	for i := range clientPods {
		d.must(d.tryShutdown(fmt.Sprintf("%064d", i)))
	}
	d.clean()
}

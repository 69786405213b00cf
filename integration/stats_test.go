package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// number is a value that crictl prints as {"value": "123"}.
type number struct{ Value string }

func (n number) uint(t *testing.T) uint64 {
	t.Helper()
	if n.Value == "" {
		return 0
	}
	v, err := strconv.ParseUint(n.Value, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

type usage struct {
	CPU    struct{ UsageCoreNanoSeconds number }
	Memory struct{ WorkingSetBytes number }
}

// containerUsage is the container's in `crictl stats`.
func containerUsage(t *testing.T, c *container) usage {
	t.Helper()
	var list struct{ Stats []usage }
	decode(t, crictl(t, "stats", "-o", "json", "--id", c.ID), &list)
	if len(list.Stats) != 1 {
		return usage{} // not collected yet
	}
	return list.Stats[0]
}

// podUsage is the pod's in `crictl statsp`.
func podUsage(t *testing.T, p *pod) usage {
	t.Helper()
	var list struct{ Stats []struct{ Linux usage } }
	decode(t, crictl(t, "statsp", "-o", "json", "--id", p.ID), &list)
	if len(list.Stats) != 1 {
		return usage{}
	}
	return list.Stats[0].Linux
}

func decode(t *testing.T, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// Statistics are those of each container, not of the process they share.
func TestStats(t *testing.T) {
	t.Parallel()
	p := startPod(t)
	idle := p.start(t, named("idle", busy("sleep")))
	spinning := p.start(t, named("spinning", busy("spin")))
	large := p.start(t, named("large", busy("grow", "64", "/never", "0")))
	spinning.says(t, "spinning")

	const second = 1e9
	first := containerUsage(t, spinning).CPU.UsageCoreNanoSeconds.uint(t)
	eventually(t, "a busy loop uses a second of CPU time", func() bool {
		return containerUsage(t, spinning).CPU.UsageCoreNanoSeconds.uint(t) > first+second
	})
	quiet := containerUsage(t, idle)
	if cpu := quiet.CPU.UsageCoreNanoSeconds.uint(t); cpu == 0 || cpu > second {
		t.Errorf("a guest asleep used %d ns of CPU time", cpu)
	}
	if memory := quiet.Memory.WorkingSetBytes.uint(t); memory < 64<<10 || memory > 48<<20 {
		t.Errorf("a small guest uses %d bytes of memory", memory)
	}
	large.says(t, "MiB: 64")
	eventually(t, "a guest that took 64 MiB is seen to have them", func() bool {
		return containerUsage(t, large).Memory.WorkingSetBytes.uint(t) >= 64<<20
	})
	whole := podUsage(t, p)
	if pod, part := whole.CPU.UsageCoreNanoSeconds.uint(t), first+second; pod < part {
		t.Errorf("the pod used %d ns, less than its container's %d", pod, part)
	}
	if memory := whole.Memory.WorkingSetBytes.uint(t); memory < 1<<20 || memory > 512<<20 {
		t.Errorf("the pod uses %d bytes of memory", memory)
	}
}

// ticks is the processor time of a process, in hundredths of a second: fields 14 and 15
// of proc_pid_stat(5).
func ticks(t *testing.T, pid int) uint64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	var sum uint64
	for _, field := range strings.Fields(rest)[11:13] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

package environment

import (
	"runtime"
	"strings"
	"testing"
)

func TestThisMachine(t *testing.T) {
	e := Begin()
	e.End()
	if e.Cores != runtime.NumCPU() || e.Kernel == "" || e.Memory < 1<<20 || e.Go == "" || e.Time.IsZero() {
		t.Errorf("%+v", e)
	}
	if e.Cgroup != "v1" && e.Cgroup != "v2" {
		t.Errorf("cgroup %q", e.Cgroup)
	}
	if e.Steal < 0 || e.Steal > 1 {
		t.Errorf("steal %v", e.Steal)
	}
	if e.start.total == 0 {
		t.Error("no CPU times")
	}
}

func TestNoisy(t *testing.T) {
	for _, c := range []struct {
		e    Environment
		want string
	}{
		{Environment{Cores: 2, LoadBefore: 0.1}, ""},
		{Environment{Cores: 2, LoadBefore: 1.5}, "load 1.50"},
		{Environment{Cores: 2, Steal: 0.05}, "5.0 %"},
	} {
		if got := c.e.Noisy(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q", c.e, got)
		}
	}
}

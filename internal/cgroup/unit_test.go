package cgroup

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestParentPath(t *testing.T) {
	for parent, want := range map[string][2]string{
		"":                           {"/", ""},
		"/":                          {"/", ""},
		"/kubepods/burstable/podabc": {"/kubepods/burstable/podabc", ""},
		"kubepods/podabc/":           {"/kubepods/podabc", ""},
		"/../../x":                   {"/x", ""},
		"system.slice":               {"/system.slice", "system.slice"},
		"kubepods-burstable-poda_b.slice": {
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-poda_b.slice", "kubepods-burstable-poda_b.slice"},
		"/kubepods.slice/kubepods-burstable.slice": {"/kubepods.slice/kubepods-burstable.slice", "kubepods-burstable.slice"},
		"-.slice": {"/", "-.slice"},
	} {
		dir, slice, err := parentPath(parent)
		if err != nil || dir != want[0] || slice != want[1] {
			t.Errorf("%q: %q, %q, %v", parent, dir, slice, err)
		}
	}
	for _, parent := range []string{"a--b.slice", "-a.slice", "a-.slice", ".slice", "/with blank", "/new\nline", "/" + strings.Repeat("x", 5000)} {
		if _, _, err := parentPath(parent); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", parent, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "a b", strings.Repeat("x", 250)} {
		if err := checkName(name); !errdefs.IsInvalidArgument(err) {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

func TestSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		r    *specs.LinuxResources
		want map[string]string
	}{
		"nothing":  {nil, map[string]string{}},
		"cpu":      {&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(1024)), Quota: ptr(int64(20000)), Period: ptr(uint64(50000)), Cpus: "0"}}, map[string]string{"cpu.weight": "100", "cpu.max": "20000 50000", "cpuset.cpus": "0"}},
		"no quota": {&specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(-1))}}, map[string]string{"cpu.max": "max 100000"}},
		"memory": {&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(100)), Reservation: ptr(int64(50)), Swap: ptr(int64(150))}},
			map[string]string{"memory.max": "100", "memory.low": "50", "memory.swap.max": "50"}},
		"no swap": {&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(100)), Swap: ptr(int64(100))}},
			map[string]string{"memory.max": "100", "memory.swap.max": "0"}},
		"any swap": {&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(100)), Swap: ptr(int64(-1))}},
			map[string]string{"memory.max": "100", "memory.swap.max": "max"}},
		"no limits": {&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(-1)), Swap: ptr(int64(0))}, Pids: &specs.LinuxPids{Limit: ptr(int64(-1))}},
			map[string]string{"memory.max": "max", "pids.max": "max"}},
		"unified": {&specs.LinuxResources{Unified: map[string]string{"memory.high": "5"}}, map[string]string{"memory.high": "5"}},
	} {
		got := map[string]string{}
		all, err := settings(tc.r)
		for _, s := range all {
			got[s.file] = s.value
		}
		if d := cmp.Diff(tc.want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", name, err, d)
		}
	}
	for _, k := range []string{"../../memory.max", "x"} {
		if _, err := settings(&specs.LinuxResources{Unified: map[string]string{k: "1"}}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("file %q: %v", k, err)
		}
	}
}

func TestMerge(t *testing.T) {
	a := &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(1)), Quota: ptr(int64(2))}, Pids: &specs.LinuxPids{Limit: ptr(int64(3))}}
	b := &specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(5))}, Memory: &specs.LinuxMemory{Limit: ptr(int64(6))}, Devices: []specs.LinuxDeviceCgroup{{}}}
	want := &specs.LinuxResources{
		CPU:    &specs.LinuxCPU{Shares: ptr(uint64(1)), Quota: ptr(int64(5))},
		Memory: &specs.LinuxMemory{Limit: ptr(int64(6))}, Pids: &specs.LinuxPids{Limit: ptr(int64(3))},
	}
	if d := cmp.Diff(want, merge(a, b)); d != "" {
		t.Error(d)
	}
	if *a.CPU.Quota != 2 {
		t.Error("the first was changed")
	}
}

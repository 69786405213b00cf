//go:build cgo

package wasmtime

import (
	"runtime"
	"strings"

	"blazar/engines"

	"golang.org/x/sys/cpu"
)

// Settings name what Compile does besides Wasmtime's own work; part of the cache key.
const (
	settings         = "speed,trap-1,image-1,tables,names"
	baselineSettings = "baseline,speed,epochs,image-1,tables,names"
	epochSettings    = "speed,epochs,image-1,tables,names"
)

// How guests are ended, for people.
const (
	killBySignal = "at once, by a signal to the guest's thread"
	killByEpoch  = "at once; loops and calls look at a counter"
)

// info describes the engine as this process runs it.
func info() engines.Info {
	if interrupts() {
		return describe(settings, killBySignal)
	}
	return describe(epochSettings, killByEpoch)
}

func describe(settings, kill string) engines.Info {
	return engines.Info{
		Name:     Name,
		Version:  "v" + version,
		Settings: strings.Join(append([]string{runtime.GOARCH, settings}, cpuFeatures()...), ","),
		Capabilities: map[string]string{
			"compile":         "ahead of time, optimised native code",
			"interpret":       "no",
			"first tier":      firstTier(),
			"components":      "no",
			"core":            "version 2 with SIMD, relaxed SIMD, tail calls, extended constants, several memories",
			"threads":         "no",
			"memory64":        "no",
			"exceptions":      "no",
			"kill":            kill,
			engines.LiveLimit: "yes",
		},
	}
}

// firstTier says where Winch is complete.
func firstTier() string {
	if runtime.GOARCH == "amd64" {
		return "baseline code"
	}
	return "no"
}

// baselineInfo describes the baseline compiler: what it lacks of the other's abilities,
// and a name of its own, so that artifacts of the two never meet.
func baselineInfo() engines.Info {
	i := describe(baselineSettings, killByEpoch)
	i.Name += engines.BaselineSuffix
	i.Capabilities["compile"] = "ahead of time, baseline code: five times as fast, of code that takes 1.4 to 2 times as long"
	i.Capabilities["core"] = "version 2 with SIMD, extended constants, several memories; no references to things of the host"
	i.Capabilities["tail calls"] = "no"
	i.Capabilities["first tier"] = "no"
	return i
}

// cpuFeatures are those that Cranelift's generated code may depend on (crate
// cranelift-native). Wasmtime itself refuses code for others; the names keep such
// code apart in a cache.
func cpuFeatures() []string {
	var found []string
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"sse3", cpu.X86.HasSSE3}, {"ssse3", cpu.X86.HasSSSE3}, {"sse4.1", cpu.X86.HasSSE41}, {"sse4.2", cpu.X86.HasSSE42},
		{"cx16", cpu.X86.HasCX16}, {"popcnt", cpu.X86.HasPOPCNT}, {"avx", cpu.X86.HasAVX}, {"avx2", cpu.X86.HasAVX2},
		{"fma", cpu.X86.HasFMA}, {"bmi1", cpu.X86.HasBMI1}, {"bmi2", cpu.X86.HasBMI2},
		{"avx512f", cpu.X86.HasAVX512F}, {"avx512vl", cpu.X86.HasAVX512VL}, {"avx512dq", cpu.X86.HasAVX512DQ},
		{"avx512bitalg", cpu.X86.HasAVX512BITALG}, {"avx512vbmi", cpu.X86.HasAVX512VBMI},
		{"lse", cpu.ARM64.HasATOMICS}, {"fp16", cpu.ARM64.HasFPHP},
	} {
		if f.has {
			found = append(found, f.name)
		}
	}
	return found
}

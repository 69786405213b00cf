package wazero

import (
	"runtime"
	"runtime/debug"
	"strings"

	"blazar/engines"

	"golang.org/x/sys/cpu"
)

// info describes the engine as this process runs it.
func info() engines.Info {
	return engines.Info{
		Name:     Name,
		Version:  version(),
		Settings: strings.Join(append([]string{runtime.GOARCH, "interruptible", instrumentation}, cpuFeatures()...), ","),
		Capabilities: map[string]string{
			"compile":             "ahead of time, native code",
			"interpret":           "yes",
			"first tier":          "no",
			"components":          "no",
			"core":                "version 2 with SIMD, tail calls, extended constants",
			"threads":             "no",
			"memory64":            "no",
			"exceptions":          "no",
			"kill":                "at once; loops run slower for it",
			engines.LiveLimit:     "yes",
			"null table elements": "reported as undefined ones",
		},
	}
}

// version is wazero's version as the build recorded it, found the way wazero
// itself finds it for its cache (internal/version).
func version() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range build.Deps {
			if dep.Path == "github.com/tetratelabs/wazero" {
				return dep.Version
			}
		}
	}
	return "dev"
}

// cpuFeatures are those that wazero's generated code depends on
// (internal/platform/cpuid_*.go).
func cpuFeatures() []string {
	var found []string
	add := func(name string, ok bool) {
		if ok {
			found = append(found, name)
		}
	}
	add("sse4.1", cpu.X86.HasSSE41)
	add("bmi1", cpu.X86.HasBMI1)
	add("abm", cpu.X86.HasBMI1 && cpu.X86.HasBMI2 && cpu.X86.HasPOPCNT)
	add("atomics", cpu.ARM64.HasATOMICS)
	return found
}

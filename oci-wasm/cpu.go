package ociwasm

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"runtime"
	"strings"
	"sync"
)

// HostCPU names this machine's architecture and instruction set: code compiled
// for one value runs wherever HostCPU is the same.
var HostCPU = sync.OnceValue(func() string {
	features := cpuFeatures()
	if features == "" {
		return runtime.GOARCH
	}
	sum := sha256.Sum256([]byte(features))
	return runtime.GOARCH + "-" + hex.EncodeToString(sum[:6])
})

// cpuFeatures is the line flags (x86) or Features (arm64) of the first processor.
func cpuFeatures() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	s := bufio.NewScanner(f)
	for s.Scan() {
		name, value, ok := strings.Cut(s.Text(), ":")
		switch strings.TrimSpace(name) {
		case "flags", "Features", "isa":
			if ok {
				return strings.TrimSpace(value)
			}
		}
	}
	return ""
}

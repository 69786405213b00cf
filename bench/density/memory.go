package density

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// memory is what a process holds, in bytes.
type memory struct {
	// pss is its own pages and its part of those that it shares, private its own.
	pss, private float64
	// tables are its page tables, which are in neither.
	tables float64
}

func (m memory) plus(o memory) memory {
	return memory{m.pss + o.pss, m.private + o.private, m.tables + o.tables}
}

// memoryOf reads /proc/PID/smaps_rollup and status (proc(5)).
func memoryOf(pid int) (memory, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	m, err := parseRollup(rollup)
	if err != nil {
		return memory{}, fmt.Errorf("smaps_rollup of %d: %w", pid, err)
	}
	tables, err := fields(status, "VmPTE")
	m.tables = tables["VmPTE"]
	return m, err
}

// parseRollup adds up what is private, in memory and swapped out.
func parseRollup(text []byte) (memory, error) {
	f, err := fields(text, "Pss", "Private_Clean", "Private_Dirty", "SwapPss")
	return memory{pss: f["Pss"] + f["SwapPss"], private: f["Private_Clean"] + f["Private_Dirty"] + f["SwapPss"]}, err
}

// fields are the values of lines "Name:  123 kB", in bytes; each must be there.
func fields(text []byte, names ...string) (map[string]float64, error) {
	all := map[string]float64{}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		name, rest, _ := strings.Cut(s.Text(), ":")
		value, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s.Text(), err)
		}
		all[name] = float64(n) * 1024
	}
	for _, name := range names {
		if _, ok := all[name]; !ok {
			return nil, fmt.Errorf("no line %s", name)
		}
	}
	return all, nil
}

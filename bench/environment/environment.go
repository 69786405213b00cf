// Package environment describes the machine that something was measured on, so
// that a result can be judged later.
package environment

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Environment is what results depend on.
type Environment struct {
	Time   time.Time `json:"time"`
	CPU    string    `json:"cpu"`
	Cores  int       `json:"cores"`
	Memory uint64    `json:"memory_bytes"`
	Kernel string    `json:"kernel"`
	// Virtual says that the machine is a virtual one.
	Virtual bool `json:"virtual"`
	// Cgroup is v1 or v2.
	Cgroup string `json:"cgroup"`
	Go     string `json:"go"`
	// Versions are those of the programs that took part.
	Versions map[string]string `json:"versions"`
	// LoadBefore and LoadAfter are the load averages of the last minute.
	LoadBefore float64 `json:"load_before"`
	LoadAfter  float64 `json:"load_after"`
	// Steal is the share of CPU time that the hypervisor gave to others meanwhile.
	Steal float64 `json:"steal"`

	start cpuTimes
}

// Begin describes this machine before a measurement.
func Begin() *Environment {
	e := &Environment{
		Time: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), Go: runtime.Version(), Versions: map[string]string{},
		CPU: cpuinfo("model name"), Virtual: strings.Contains(" "+cpuinfo("flags")+" ", " hypervisor "),
		Cgroup: "v1", LoadBefore: load(), start: readCPUTimes(),
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		e.Kernel = strings.TrimSpace(string(b))
	}
	var fs unix.Statfs_t
	if unix.Statfs("/sys/fs/cgroup", &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
		e.Cgroup = "v2"
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		e.Memory = info.Totalram * uint64(info.Unit)
	}
	return e
}

// End completes the description after the measurement.
func (e *Environment) End() {
	e.LoadAfter = load()
	now := readCPUTimes()
	if total := now.total - e.start.total; total > 0 {
		e.Steal = float64(now.steal-e.start.steal) / float64(total)
	}
}

// Noisy says why the figures may be disturbed, empty if nothing hints at it.
// A benchmark itself makes a load of about one.
func (e *Environment) Noisy() string {
	var why []string
	if e.LoadBefore > 0.3*float64(e.Cores) {
		why = append(why, "load "+strconv.FormatFloat(e.LoadBefore, 'f', 2, 64)+" before it began")
	}
	if e.Steal > 0.01 {
		why = append(why, strconv.FormatFloat(100*e.Steal, 'f', 1, 64)+" % of the CPU time went to other machines")
	}
	return strings.Join(why, ", ")
}

// cpuinfo is the first value of a key of /proc/cpuinfo.
func cpuinfo(key string) string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func load() float64 {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	one, _, _ := strings.Cut(string(b), " ")
	v, err := strconv.ParseFloat(one, 64)
	if err != nil {
		return 0
	}
	return v
}

// cpuTimes are ticks since the machine started.
type cpuTimes struct{ total, steal uint64 }

// readCPUTimes reads the first line of /proc/stat: user nice system idle iowait
// irq softirq steal, then two that are counted in the first; proc_stat(5).
func readCPUTimes() cpuTimes {
	const (
		steal  = 7
		fields = 8
	)
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTimes{}
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var t cpuTimes
	for i, f := range strings.Fields(strings.TrimPrefix(line, "cpu")) {
		v, err := strconv.ParseUint(f, 10, 64)
		if err != nil || i >= fields {
			break
		}
		t.total += v
		if i == steal {
			t.steal = v
		}
	}
	return t
}

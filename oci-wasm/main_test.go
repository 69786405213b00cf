package ociwasm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain is also the compiler child: the tests run the real thing, with an
// "engine" that misbehaves as its name says.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "compile" {
		os.Exit(child(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

// execCompiler is one whose child does not linger at its end under the race
// detector.
func execCompiler(l CompileLimits) *ExecCompiler {
	return &ExecCompiler{Env: []string{"GORACE=atexit_sleep_ms=0"}, Limits: l}
}

func child(args []string) int {
	o := ChildOptions{}
	engine := ""
	for i := 0; i+1 < len(args); i += 2 {
		v := args[i+1]
		switch args[i] {
		case "--engine":
			engine = v
		case "--memory":
			o.Memory, _ = strconv.ParseInt(v, 10, 64)
		case "--output":
			o.Output, _ = strconv.ParseInt(v, 10, 64)
		case "--cpu":
			o.CPU, _ = time.ParseDuration(v)
		case "--uid":
			o.UID, _ = strconv.Atoi(v)
		}
	}
	o.Confined = os.Args[len(os.Args)-1] == "--confined"
	return CompileChild(context.Background(), o, func(_ context.Context, module []byte, dir string) error {
		return engines[engine](module, dir)
	})
}

var (
	sinkhole [][]byte
	spinning int
)

var engines = map[string]func(module []byte, dir string) error{
	"good": func(module []byte, dir string) error {
		return os.WriteFile(filepath.Join(dir, "code"), append([]byte("compiled:"), module...), 0o600)
	},
	"slow": func(module []byte, dir string) error {
		time.Sleep(300 * time.Millisecond)
		return os.WriteFile(filepath.Join(dir, "code"), module, 0o600)
	},
	"invalid":     func([]byte, string) error { return fmt.Errorf("bad opcode: %w", errdefs.ErrInvalidArgument) },
	"unsupported": func([]byte, string) error { return fmt.Errorf("no threads: %w", errdefs.ErrNotImplemented) },
	"crash":       func([]byte, string) error { panic("engine bug") },
	"nothing":     func([]byte, string) error { return nil },
	"hang":        func([]byte, string) error { select {} },
	"spin": func([]byte, string) error {
		for turns := 0; ; turns++ {
			spinning = turns
		}
	},
	"eat": func([]byte, string) error {
		for {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			sinkhole = append(sinkhole, b)
		}
	},
	"flood": func(_ []byte, dir string) error {
		return os.WriteFile(filepath.Join(dir, "code"), make([]byte, 64<<20), 0o600)
	},
	"link": func(_ []byte, dir string) error { return os.Symlink("/etc/shadow", filepath.Join(dir, "code")) },
	"fifo": func(_ []byte, dir string) error { return unix.Mkfifo(filepath.Join(dir, "code"), 0o600) },
	"double": func(_ []byte, dir string) error {
		a := filepath.Join(dir, "a")
		if err := os.WriteFile(a, nil, 0o600); err != nil {
			return err
		}
		return os.Link(a, filepath.Join(dir, "b"))
	},
	"deep": func(_ []byte, dir string) error {
		for range 40 {
			dir = filepath.Join(dir, "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
		}
		return nil
	},
	// lowly succeeds when its priority becomes low, raised when it then becomes usual.
	"lowly": func(_ []byte, dir string) error { return awaitNice(dir, 19) },
	"raised": func(_ []byte, dir string) error {
		if err := awaitNice(dir, 19); err != nil {
			return err
		}
		return awaitNice(dir, 0)
	},
	// look tells what a compiler that was taken over can do.
	"look": look,
	// offend calls what is forbidden.
	"offend": offend,
	// pry tries to get at another compiler.
	"pry": pry,
}

// pry tries for a while to open the memory and the files of other compilers.
func pry(_ []byte, dir string) error {
	report := ""
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err
		}
		for _, c := range commands {
			line, _ := os.ReadFile(c)
			if words := strings.Split(string(line), "\x00"); !slices.Contains(words, "hang") || !slices.Contains(words, "--confined") {
				continue
			}
			report += "SEEN " + c + "\n"
			if f, err := os.OpenFile(filepath.Dir(c)+"/mem", os.O_RDWR, 0); err == nil {
				report += "OPENED " + f.Name() + "\n"
			}
			if _, err := os.ReadDir(filepath.Dir(c) + "/fd"); err == nil {
				report += "OPENED fd\n"
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, "report"), []byte(report), 0o600)
}

// awaitNice waits until all threads of the process have the nice value.
func awaitNice(dir string, want int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		ok := true
		for _, t := range threads {
			tid, _ := strconv.Atoi(t.Name())
			got, err := unix.Getpriority(unix.PRIO_PROCESS, tid) // the system call says 20-nice
			ok = ok && (err != nil || 20-got == want)
		}
		if ok {
			return os.WriteFile(filepath.Join(dir, "nice"), []byte(strconv.Itoa(want)), 0o600)
		}
		if time.Now().After(end) {
			return fmt.Errorf("nice is not %d", want)
		}
	}
}

// look writes what it finds into the artifact.
func look(_ []byte, dir string) error {
	report := fmt.Sprintf("uid %d gid %d pid %d\n", os.Getuid(), os.Getgid(), os.Getpid())
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return err
	}
	report += string(status)
	for _, f := range []string{"/etc/shadow", dir + "/../neighbour", "/proc/1/environ"} {
		if _, err := os.ReadFile(f); err == nil {
			report += "READ " + f + "\n"
		}
	}
	if _, err := os.ReadDir(dir + "/.."); err == nil {
		report += "LISTED the cache\n"
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil {
			report += "FD " + e.Name() + " " + target + "\n"
		}
	}
	return os.WriteFile(filepath.Join(dir, "report"), []byte(report), 0o600)
}

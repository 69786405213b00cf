package throughput

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Every answered request is counted, once, and no more are asked at a time than there
// are clients.
func TestGenerateCounts(t *testing.T) {
	var served, now, most atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for n := now.Add(1); ; {
			if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		time.Sleep(5 * time.Millisecond)
		now.Add(-1)
		served.Add(1)
		_, _ = w.Write([]byte("hello from a test"))
	}))
	defer s.Close()
	const clients, length = 4, 300 * time.Millisecond
	l, err := generate(t.Context(), s.URL, "hello", clients, length)
	if err != nil {
		t.Fatal(err)
	}
	if n := int64(len(l.latencies)); n != served.Load() || n < clients {
		t.Errorf("%d latencies of %d requests", n, served.Load())
	}
	if most.Load() > clients {
		t.Errorf("%d requests at a time", most.Load())
	}
	if l.took < length || l.percentile(50) < 5e6 || l.percentile(99) < l.percentile(50) {
		t.Errorf("took %v, p50 %v, p99 %v", l.took, l.percentile(50), l.percentile(99))
	}
	if got, want := l.perSecond(), float64(served.Load())/l.took.Seconds(); got != want {
		t.Errorf("%v requests per second, want %v", got, want)
	}
}

// A wrong answer and none at all are errors, at once.
func TestGenerateFails(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/teapot" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte("something else"))
	}))
	url := s.URL
	for _, path := range []string{"", "/teapot"} {
		begin := time.Now()
		if l, err := generate(t.Context(), url+path, "hello", 2, time.Minute); err == nil || !strings.Contains(err.Error(), "something else") {
			t.Errorf("%q: %d answers, %v", path, len(l.latencies), err)
		}
		if time.Since(begin) > 30*time.Second {
			t.Error("went on after an error")
		}
	}
	s.Close()
	if _, err := generate(t.Context(), url, "hello", 1, time.Minute); err == nil {
		t.Error("no server, no error")
	}
}

// The native programs are built of the examples' sources, and serve.
func TestNativeC(t *testing.T) {
	dir := t.TempDir()
	for _, argv := range [][]string{
		append(programs[0].build[1:len(programs[0].build):len(programs[0].build)], filepath.Join(dir, "server")),
		{"-O2", "-static", "bench/throughput/native/listen.c", "-o", filepath.Join(dir, "listen")},
	} {
		cmd := exec.CommandContext(t.Context(), "gcc", argv...)
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "listen"), "0", filepath.Join(dir, "server"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	defer stop()
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	port := listening(t, cmd.Process.Pid)
	l, err := generate(t.Context(), "http://127.0.0.1:"+port+"/path", programs[0].answer+" and nothing else", 1, time.Second)
	if err == nil || !strings.Contains(err.Error(), "you asked for /path") {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err = generate(t.Context(), "http://127.0.0.1:"+port+"/path", programs[0].answer, 3, 50*time.Millisecond); err != nil || len(l.latencies) < 3 {
		t.Errorf("%+v, %v", l, err)
	}
}

// listening is the port of the one TCP socket that the process, and nobody else with
// this inode, listens on (proc_net(5)).
func listening(t *testing.T, pid int) string {
	t.Helper()
	link, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "fd", "3"))
	if err != nil {
		t.Fatal(err)
	}
	inode := strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net", "tcp"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 9 && f[9] == inode {
			_, hex, _ := strings.Cut(f[1], ":")
			return fromHex(t, hex)
		}
	}
	t.Fatalf("no TCP socket with inode %s", inode)
	return ""
}

func fromHex(t *testing.T, s string) string {
	t.Helper()
	n, err := strconv.ParseUint(s, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatUint(n, 10)
}

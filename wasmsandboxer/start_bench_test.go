package wasmsandboxer_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/runtime/task/v3"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/ttrpc"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"blazar/internal/testneeds"
	"blazar/sandbox"
	"blazar/sandbox/state"
)

// BenchmarkPod measures what RunPodSandbox asks of the daemon, and when the Task API
// answers, in microseconds (medians).
func BenchmarkPod(b *testing.B) {
	for name, prepared := range map[string]int{"Cold": 0, "Prepared": 3} {
		b.Run(name, func(b *testing.B) { benchmarkPod(b, prepared) })
	}
}

func benchmarkPod(b *testing.B, prepared int) {
	testneeds.Root(b)
	root := b.TempDir()
	if err := os.Mkdir(filepath.Join(root, "k"), 0o700); err != nil {
		b.Fatal(err)
	}
	s, closeKind := newSandboxer(b, &records{}, filepath.Join(root, "k"), filepath.Join(root, "state"), prepared)
	s.Recovered(b.Context())
	b.Cleanup(closeKind)
	store, err := state.Open(filepath.Join(root, "s"))
	if err != nil {
		b.Fatal(err)
	}
	ctx := namespaces.WithNamespace(context.Background(), "k8s.io")
	var create, start, answer, remove []float64
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprintf("%064d", i)
		must := func(err error) {
			if err != nil {
				b.Fatal(err)
			}
		}
		must(store.Create(id))
		r := &sandbox.Request{
			ID: id, Namespace: "k8s.io", Dir: store.Dir(id), Config: benchConfig(id), Annotations: map[string]string{},
			Save: func(context.Context, any) error {
				return store.Put(&state.Record{ID: id, Kind: "wasm", Phase: state.Created})
			},
		}
		t0 := time.Now()
		p, err := s.Create(ctx, r)
		must(err)
		t1 := time.Now()
		time.Sleep(between)
		t2 := time.Now()
		st, err := p.Start(ctx)
		must(err)
		t3 := time.Now()
		c, err := net.Dial("unix", strings.TrimPrefix(st.Address, "ttrpc+unix://"))
		must(err)
		client := ttrpc.NewClient(c)
		_, err = task.NewTTRPCTaskClient(client).Connect(ctx, &task.ConnectRequest{ID: id})
		if err != nil && !strings.Contains(err.Error(), "not found") {
			b.Fatal(err)
		}
		t4 := time.Now()
		must(client.Close())
		time.Sleep(between) // a pod that has just been started is not removed
		t5 := time.Now()
		must(p.Delete(ctx))
		t6 := time.Now()
		must(store.Remove(id))
		create, start = append(create, us(t1.Sub(t0))), append(start, us(t3.Sub(t2)))
		answer, remove = append(answer, us(t4.Sub(t3))), append(remove, us(t6.Sub(t5)))
		time.Sleep(250 * time.Millisecond)
	}
	for name, all := range map[string][]float64{"create-µs": create, "start-µs": start, "answer-µs": answer, "remove-µs": remove} {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], name)
	}
}

// between is about what containerd does between the two calls.
const between = 500 * time.Microsecond

func us(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func benchConfig(id string) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: id, Namespace: "default", Uid: id}, Hostname: "bench",
		Linux: &cri.LinuxPodSandboxConfig{CgroupParent: fmt.Sprintf("/blazar-bench-%d", os.Getpid())},
	}
}

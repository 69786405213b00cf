package confine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"blazar/internal/cgroup"
)

// BenchmarkStart measures from before the fork to the first answer of the probe:
// confined, confined and born in the cgroups of a pod, and, so that they can be
// compared, neither. Medians and tenths say more than means on a busy machine.
func BenchmarkStart(b *testing.B) {
	confined := func(b *testing.B, c Config) {
		var confirmed, answered []time.Duration
		for b.Loop() {
			begin := time.Now()
			p, err := Start(b.Context(), c)
			check(b, err)
			confirmed = append(confirmed, time.Since(begin))
			hello(b, p)
			answered = append(answered, time.Since(begin))
			stop(b, p)
		}
		quantiles(b, "confirmed", confirmed)
		quantiles(b, "answered", answered)
	}
	b.Run("confined", func(b *testing.B) { confined(b, config(b)) })
	b.Run("confined in cgroups", func(b *testing.B) {
		c := config(b)
		g, err := cgroup.Create(b.Context(), fmt.Sprintf("/confine-bench-%d", os.Getpid()), "pod", nil)
		check(b, err)
		defer func() { check(b, g.Delete(context.Background())) }()
		c.Join = g.Join
		if c.CgroupFD, err = g.Dir(); err != nil {
			b.Fatal(err)
		}
		confined(b, c)
	})
	b.Run("unconfined", func(b *testing.B) {
		var answered []time.Duration
		for b.Loop() {
			begin := time.Now()
			conn, end, err := controlPair()
			check(b, err)
			p, err := os.StartProcess(probe, []string{"probe"}, &os.ProcAttr{
				Env: []string{"GOMAXPROCS=2"}, Files: []*os.File{nil, nil, os.Stderr, end},
			})
			check(b, err)
			check(b, end.Close())
			hello(b, &Process{Control: conn})
			answered = append(answered, time.Since(begin))
			check(b, conn.Close())
			check(b, p.Kill())
			_, err = p.Wait()
			check(b, err)
		}
		quantiles(b, "answered", answered)
	})
}

func quantiles(b *testing.B, what string, d []time.Duration) {
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/10].Microseconds())/1e3, what+"-p10-ms")
	b.ReportMetric(float64(d[len(d)/2].Microseconds())/1e3, what+"-p50-ms")
}

func hello(b *testing.B, p *Process) {
	b.Helper()
	_, err := p.Control.Write([]byte("hello"))
	check(b, err)
	buf := make([]byte, 4096)
	n, err := p.Control.Read(buf)
	check(b, err)
	check(b, json.Unmarshal(buf[:n], &report{}))
}

// BenchmarkFilter builds the filter, once per daemon.
func BenchmarkFilter(b *testing.B) {
	for b.Loop() {
		_, err := Filter(FilterOptions{})
		check(b, err)
	}
}

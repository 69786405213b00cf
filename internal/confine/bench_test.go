package confine

import (
	"encoding/json"
	"os"
	"testing"
)

// BenchmarkStart measures from before the fork to the first answer of the probe,
// and so that the two can be compared, the same without confinement.
func BenchmarkStart(b *testing.B) {
	b.Run("confined", func(b *testing.B) {
		c := config(b)
		for b.Loop() {
			p, err := Start(b.Context(), c)
			check(b, err)
			hello(b, p)
			b.StopTimer()
			stop(b, p)
			b.StartTimer()
		}
	})
	b.Run("confirmed only", func(b *testing.B) {
		c := config(b)
		for b.Loop() {
			p, err := Start(b.Context(), c)
			check(b, err)
			b.StopTimer()
			stop(b, p)
			b.StartTimer()
		}
	})
	b.Run("unconfined", func(b *testing.B) {
		for b.Loop() {
			conn, end, err := controlPair()
			check(b, err)
			p, err := os.StartProcess(probe, []string{"probe"}, &os.ProcAttr{
				Env: []string{"GOMAXPROCS=2"}, Files: []*os.File{nil, nil, os.Stderr, end},
			})
			check(b, err)
			check(b, end.Close())
			hello(b, &Process{Control: conn})
			b.StopTimer()
			check(b, conn.Close())
			check(b, p.Kill())
			_, err = p.Wait()
			check(b, err)
			b.StartTimer()
		}
	})
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

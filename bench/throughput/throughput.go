// Package throughput measures the requests per second of HTTP servers in pods.
package throughput

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"blazar/bench/client"
	"blazar/bench/internal/lab"
	"blazar/bench/internal/report"
)

// Benchmark is the measurement.
type Benchmark struct{}

var _ lab.Benchmark = Benchmark{}

// Name implements lab.Benchmark.
func (Benchmark) Name() string { return "throughput" }

const about = `The HTTP examples as pods on each engine, and the same sources as native Linux programs in pods of containerd's own. Clients ask through the pods' addresses on the node's bridge, each again as soon as it was answered. A sample is one round: its requests per second, and percentiles of its latencies. The rounds of the contestants alternate.

Clients and servers share the machine's cores. A guest runs on one thread, as WebAssembly does without its threads proposal; the native Go program uses every core.`

const (
	native = "native"
	rate   = "requests per second"
)

// percentiles are those of a round's latencies.
var percentiles = []float64{50, 95, 99}

func percentileName(p float64) string { return "p" + strconv.FormatFloat(p, 'f', -1, 64) }

// Run implements lab.Benchmark.
func (b Benchmark) Run(ctx context.Context, l *lab.Lab) (_ *report.Section, err error) {
	n, err := l.Node(ctx)
	if err != nil {
		return nil, err
	}
	c, err := client.New(n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	field, notes, err := l.Field(ctx, n, lab.Wasm, "wazero", "wasmedge")
	if err != nil {
		return nil, err
	}
	s := &report.Section{Name: b.Name(), Title: "HTTP requests per second", About: about, Notes: notes}
	for _, p := range programs {
		if err := measure(ctx, l, c, s, p, field); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return s, nil
}

// measure measures one program, on every engine and natively.
func measure(ctx context.Context, l *lab.Lab, c *client.Client, s *report.Section, p program, field []lab.Entrant) (err error) {
	chosen := slices.DeleteFunc([]int{1, 50}, func(n int) bool { return !l.Measures(newTable(p, n).Name, lab.Smoke) })
	if len(chosen) == 0 {
		return nil
	}
	servers, err := start(ctx, l, c, p, field)
	defer func() {
		for _, v := range servers {
			err = errors.Join(err, v.pod.Remove(ctx))
		}
	}()
	if err != nil {
		return err
	}
	for _, clients := range chosen {
		t := newTable(p, clients)
		l.Say("throughput: %s", t.Title)
		if err := alternate(ctx, l, t, servers, p, clients); err != nil {
			return err
		}
		s.Tables = append(s.Tables, t)
		s.Figures = append(s.Figures, t.Bars(t.Name, t.Title, rate, rate))
		for _, v := range servers[1:] {
			s.Ratios = append(s.Ratios, report.Ratio{
				Name: fmt.Sprintf("throughput/%s/%s:native", t.Name, v.name), Value: t.Ratio(v.name, native, rate), Higher: true,
			})
		}
	}
	return nil
}

func newTable(p program, clients int) *report.Table {
	t := &report.Table{
		Name:      fmt.Sprintf("%s-%d", p.name, clients),
		Title:     fmt.Sprintf("%s (%s), clients: %d", p.name, p.what, clients),
		Columns:   []report.Column{report.PerSecond.Column(rate)},
		Reference: native,
	}
	for _, q := range percentiles {
		t.Columns = append(t.Columns, report.Nanoseconds.Column(percentileName(q)))
	}
	return t
}

// start starts the native program first, then the guests; also with an error those
// that are returned are to be removed.
func start(ctx context.Context, l *lab.Lab, c *client.Client, p program, field []lab.Entrant) ([]*server, error) {
	v, err := p.native(ctx, c, native)
	if err != nil {
		return nil, err
	}
	all := []*server{v}
	for _, e := range field {
		v, err := p.guest(ctx, c, l, e.Engine)
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// alternate runs rounds of all servers, in an order that changes.
func alternate(ctx context.Context, l *lab.Lab, t *report.Table, servers []*server, p program, clients int) error {
	length := lab.Pick(l.Effort, 200*time.Millisecond, 2*time.Second, 5*time.Second)
	random := rand.New(rand.NewPCG(1, 2))
	for _, v := range servers {
		t.Row(v.name) // in this order, whoever comes first
		if _, err := generate(ctx, v.url(), p.answer, clients, length/4); err != nil {
			return fmt.Errorf("warm up %s: %w", v.name, err)
		}
	}
	for range lab.Pick(l.Effort, 1, 3, 7) {
		for _, i := range random.Perm(len(servers)) {
			v := servers[i]
			got, err := generate(ctx, v.url(), p.answer, clients, length)
			if err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			t.Add(v.name, rate, got.perSecond())
			for _, q := range percentiles {
				t.Add(v.name, percentileName(q), got.percentile(q))
			}
		}
	}
	return nil
}

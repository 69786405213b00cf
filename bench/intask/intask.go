// Package intask measures starts of containers within a pod that runs already: from
// the request to the pod's Task API to the first byte that its reader has.
package intask

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"blazar/bench/client"
	"blazar/bench/internal/lab"
	"blazar/bench/internal/report"
)

// Benchmark is the measurement.
type Benchmark struct{}

var _ lab.Benchmark = Benchmark{}

// Name implements lab.Benchmark.
func (Benchmark) Name() string { return "intask" }

const about = `A pod runs already. How long does one more container take, from the request to the pod's Task API (Create, then Start) to the first byte that the reader of its output has? containerd has made the container before, with all that CRI writes into a specification; the module is in the cache.

The reference is a process per container: fork and exec of the same source as a static Linux program, with no isolation whatsoever. "engine alone" is the same guest on the same engine and WASI layer in the measuring process: no Task API, no host service, no mounts, no containerd. Of several at a time the requests are made at the same moment.`

const (
	created   = "Create answered"
	toByte    = "from there to the first byte"
	firstByte = "first byte"
	forkExec  = "fork + exec"
)

// engineNames are the engines of pods; the handler of each is blazar-NAME.
var engineNames = []string{"wasmtime", "wazero", "wasmedge"}

// option is an engine's name on the command line, that of its contestant.
func option(engine string) string {
	if engine == engineNames[0] {
		return lab.Wasm
	}
	return engine
}

// widths are how many are started at a time.
var widths = []int{1, 8}

// contestant is one way to start a guest.
type contestant struct {
	name string
	runner
}

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
	dir, err := os.MkdirTemp("", "intask-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &report.Section{Name: b.Name(), Title: "Starting a container in a running pod", About: about}
	for _, g := range Guests {
		m := &measurement{lab: l, client: c, section: s, guest: g, dir: filepath.Join(dir, g.Name)}
		if err := m.run(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", g.Name, err)
		}
	}
	s.Ratios = ratios(s)
	return s, nil
}

// measurement is that of one guest.
type measurement struct {
	lab     *lab.Lab
	client  *client.Client
	section *report.Section
	guest   Guest
	dir     string
}

func (m *measurement) run(ctx context.Context) (err error) {
	all, err := m.contestants(ctx)
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.close())
		}
	}()
	if err != nil {
		return err
	}
	n := m.lab.Samples(200, 1000)
	for _, width := range widths {
		t := newTable(m.guest, width)
		if !m.lab.Measures(t.Name, lab.Smoke) {
			continue
		}
		m.section.Tables = append(m.section.Tables, t)
		m.lab.Say("intask: %s", t.Title)
		if err := m.alternate(ctx, t, all, width, n); err != nil {
			return err
		}
		m.section.Figures = append(m.section.Figures, t.CDF(t.Name, t.Title, firstByte))
		if width == 1 {
			m.section.Figures = append(m.section.Figures, t.Stack(t.Name+"-parts", t.Title+": what the median is made of", "time", created, toByte))
		}
	}
	if m.guest.Name != Guests[0].Name {
		return nil
	}
	for _, c := range all {
		r, ok := c.runner.(*taskRunner)
		if !ok {
			continue
		}
		t, err := steps(ctx, r, n)
		if err != nil {
			return fmt.Errorf("steps: %w", err)
		}
		m.section.Tables = append(m.section.Tables, t)
		break
	}
	return nil
}

func newTable(g Guest, width int) *report.Table {
	return &report.Table{
		Name:  fmt.Sprintf("%s-%d", g.Name, width),
		Title: fmt.Sprintf("%s (%s), %d at a time", g.Name, g.What, width),
		Columns: []report.Column{
			report.Nanoseconds.Column(created), report.Nanoseconds.Column(toByte), report.Nanoseconds.Column(firstByte),
		},
		Reference: forkExec,
	}
}

// contestants makes those that can take part here; also with an error they are to be
// closed.
func (m *measurement) contestants(ctx context.Context) (all []contestant, err error) {
	if err := m.client.Node.ImportImage(ctx, filepath.Join(m.lab.Images, m.guest.Name+".tar")); err != nil {
		return nil, err
	}
	folder := func(name string) (string, error) {
		dir := filepath.Join(m.dir, name)
		return dir, os.MkdirAll(dir, 0o700)
	}
	dir, err := folder("native")
	if err != nil {
		return all, err
	}
	program, err := m.guest.native(ctx, dir)
	if err != nil {
		return all, err
	}
	all = append(all, contestant{forkExec, &nativeRunner{program: program, dir: dir}})
	for i, name := range engineNames {
		from := lab.Quick
		if i == 0 {
			from = lab.Smoke
		}
		if !m.lab.Wants(option(name), from) {
			continue
		}
		r, err := newTaskRunner(ctx, m.client, "blazar-"+name, m.guest)
		if err != nil {
			return all, err
		}
		if _, err := r.batch(ctx, 1); err != nil { // compiles
			if err := errors.Join(missing(err), r.close()); err != nil {
				return all, fmt.Errorf("%s: %w", name, err)
			}
			m.section.Notes = append(m.section.Notes, fmt.Sprintf("%s did not take part: %v", name, err))
			continue
		}
		all = append(all, contestant{name, r})
	}
	return m.alone(ctx, all, folder)
}

// missing is nil where err says that an engine's library is not on this machine.
func missing(err error) error {
	if strings.Contains(err.Error(), "libwasmedge") {
		return nil
	}
	return err
}

// alone adds the engines without a pod.
func (m *measurement) alone(ctx context.Context, all []contestant, folder func(string) (string, error)) ([]contestant, error) {
	for _, name := range engineNames {
		factory := inProcess[name]
		if factory == nil || !m.lab.Wants(option(name), lab.Quick) {
			continue
		}
		dir, err := folder(name)
		if err != nil {
			return all, err
		}
		r, err := newEngineRunner(ctx, factory, filepath.Join(m.lab.Images, m.guest.Name+".wasm"), dir)
		if err != nil {
			return all, err
		}
		all = append(all, contestant{name + ", engine alone", r})
	}
	return all, nil
}

// alternate takes n samples of every contestant, turn by turn.
func (m *measurement) alternate(ctx context.Context, t *report.Table, all []contestant, width, n int) error {
	for i := -1; i*width < n; i++ { // one round to warm up
		for j := range all {
			c := all[(i+1+j)%len(all)]
			samples, err := c.batch(ctx, width)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if i < 0 {
				continue
			}
			for _, s := range samples {
				t.AddTime(c.name, created, s.created)
				t.AddTime(c.name, toByte, max(0, s.first-s.created))
				t.AddTime(c.name, firstByte, s.first)
			}
		}
	}
	return nil
}

// ratios are those to keep: against the reference, and the goals for Wasmtime.
func ratios(s *report.Section) (all []report.Ratio) {
	goals := map[string]float64{"hello-c": 300e3, "hello-go": 1500e3} // ns
	for _, t := range s.Tables {
		for _, r := range t.Rows {
			v := t.Ratio(r.Label, forkExec, firstByte)
			if t.Reference == "" || r.Label == t.Reference || math.IsNaN(v) {
				continue
			}
			name := "intask/" + t.Name + "/" + strings.ReplaceAll(r.Label, ", ", "-")
			all = append(all, report.Ratio{Name: strings.ReplaceAll(name, " ", "-"), Value: v})
		}
		guest, serial := strings.CutSuffix(t.Name, "-1")
		if v := t.Median(engineNames[0], firstByte); serial && v > 0 {
			all = append(all, report.Ratio{Name: "intask/" + t.Name + "/first-byte", Value: v, Unit: report.Nanoseconds, Goal: goals[guest]})
		}
	}
	return all
}

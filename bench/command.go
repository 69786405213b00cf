package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"blazar/bench/internal/lab"
	"blazar/bench/internal/report"
)

// command is the command line.
type command struct {
	bin, tools, images, peers, wasmedge, out string
	check, show                              string
	only, contestants, tables, serveArgs     []string
	n                                        int
	full, smoke, update                      bool
}

// run does what the command line says.
func (c *command) run(ctx context.Context) error {
	if c.show != "" {
		r, err := report.Read(c.show)
		if err != nil {
			return err
		}
		return r.Write(filepath.Dir(c.show))
	}
	if c.check != "" {
		return c.compare(ctx)
	}
	r, err := c.measure(ctx)
	if err != nil {
		return err
	}
	dir := filepath.Join(c.out, r.Environment.Time.Format("20060102-150405"))
	if err := r.Write(dir); err != nil {
		return err
	}
	if err := r.Markdown(os.Stdout); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "\nwritten to %s, for people: %s\n", dir, filepath.Join(dir, report.Page))
	return nil
}

// compare measures what the baseline names and compares.
func (c *command) compare(ctx context.Context) error {
	b, err := report.ReadBaseline(c.check)
	if err != nil {
		return err
	}
	c.only, c.tables, c.contestants = b.Only, b.Tables, b.Contestants
	if c.n == 0 {
		c.n = b.N
	}
	r, err := c.measure(ctx)
	if err != nil {
		return err
	}
	if c.update {
		b.Update(r)
		if err := b.Write(c.check); err != nil {
			return err
		}
	}
	runs := []*report.Run{r}
	worse, err := b.Compare(io.Discard, runs...)
	if err == nil && len(worse) > 0 {
		fmt.Fprintf(os.Stderr, "worse: %s; measuring once more, because a machine is not always quiet\n", strings.Join(worse, ", "))
		if r, err = c.measure(ctx); err != nil {
			return err
		}
		runs = append(runs, r)
	}
	if worse, err = b.Compare(os.Stdout, runs...); err != nil {
		return err
	}
	if noisy := r.Environment.Noisy(); noisy != "" {
		fmt.Printf("\nThe machine was noisy: %s.\n", noisy)
	}
	if len(worse) > 0 {
		return fmt.Errorf("worse than %s tolerates: %s", c.check, strings.Join(worse, ", "))
	}
	return nil
}

// measure runs the benchmarks that the command line names.
func (c *command) measure(ctx context.Context) (*report.Run, error) {
	chosen, err := c.benchmarks()
	if err != nil {
		return nil, err
	}
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	r, err := measure(ctx, lab.New(o), chosen)
	if err != nil {
		return nil, err
	}
	r.Settings = c.settings()
	for _, k := range lab.Contestants() {
		r.Contestants = append(r.Contestants, report.Contestant{Label: k.Name, What: k.What, Cache: k.Cache()})
	}
	return r, nil
}

// names are those of the benchmarks.
func names() []string {
	var all []string
	for _, b := range benchmarks {
		all = append(all, b.Name())
	}
	return all
}

// benchmarks are those to run.
func (c *command) benchmarks() ([]lab.Benchmark, error) {
	if len(c.only) == 0 {
		return benchmarks, nil
	}
	for _, name := range c.only {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("no benchmark %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(benchmarks), func(b lab.Benchmark) bool { return !slices.Contains(c.only, b.Name()) }), nil
}

// options are those of the lab.
func (c *command) options() (lab.Options, error) {
	o := lab.Options{
		Bin: c.bin, Tools: c.tools, Images: c.images, Peers: c.peers, WasmEdge: c.wasmedge,
		Effort: lab.Quick, N: c.n, Contestants: c.contestants, Tables: c.tables, ServeArgs: c.serveArgs, Log: os.Stderr,
	}
	switch {
	case c.full && c.smoke:
		return o, errors.New("-full and -smoke: choose one")
	case c.n < 0:
		return o, errors.New("-n must be positive")
	case c.full:
		o.Effort = lab.Full
	case c.smoke:
		o.Effort = lab.Smoke
	}
	known := lab.Contestants()
	for _, name := range c.contestants {
		if !slices.ContainsFunc(known, func(k lab.Contestant) bool { return k.Name == name }) {
			var all []string
			for _, k := range known {
				all = append(all, k.Name)
			}
			return o, fmt.Errorf("no contestant %q; there are %s", name, strings.Join(all, ", "))
		}
	}
	if _, err := os.Stat(o.WasmEdge); err != nil {
		o.WasmEdge = ""
	}
	for _, dir := range []*string{&o.Bin, &o.Tools, &o.Images, &o.Peers, &o.WasmEdge} {
		if *dir == "" {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return o, err
		}
		*dir = abs
	}
	return o, nil
}

// settings are the flags by which runs differ.
func (c *command) settings() map[string]string {
	s := map[string]string{}
	for name, value := range map[string]string{
		"only": strings.Join(c.only, ","), "contestants": strings.Join(c.contestants, ","), "tables": strings.Join(c.tables, ","),
		"serve-arg": strings.Join(c.serveArgs, " "),
		"n":         strconv.Itoa(c.n), "full": strconv.FormatBool(c.full), "smoke": strconv.FormatBool(c.smoke),
	} {
		if value != "" && value != "0" && value != "false" {
			s[name] = value
		}
	}
	return s
}

// measure runs benchmarks one after another.
func measure(ctx context.Context, l *lab.Lab, chosen []lab.Benchmark) (r *report.Run, err error) {
	defer func() {
		if closeErr := l.Close(context.WithoutCancel(ctx)); err == nil {
			err = closeErr
		}
	}()
	r = &report.Run{}
	if r.Environment, err = l.Environment(ctx); err != nil {
		return nil, err
	}
	for _, b := range chosen {
		begin := time.Now()
		l.Say("== %s", b.Name())
		s, err := b.Run(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		s.Name, s.Took = b.Name(), time.Since(begin)
		r.Sections = append(r.Sections, s)
	}
	r.Environment.End()
	return r, nil
}

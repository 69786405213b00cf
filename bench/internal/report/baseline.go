package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// Baseline are ratios that a measurement is compared with. Ratios carry over from one
// machine to another as times do not; how far they do is their tolerance.
type Baseline struct {
	// Only, Tables, Contestants and N are what the ratios are measured with, as the
	// flags of these names have it.
	Only        []string `json:"only"`
	Tables      []string `json:"tables,omitempty"`
	Contestants []string `json:"contestants,omitempty"`
	N           int      `json:"n,omitempty"`
	Ratios      []Bound  `json:"ratios"`
}

// Bound is a ratio of the baseline.
type Bound struct {
	Name string `json:"name"`
	// Value was measured; Higher says that more is better.
	Value  float64 `json:"value"`
	Higher bool    `json:"higher,omitempty"`
	// Tolerance is by how much of Value a measurement may be worse.
	Tolerance float64 `json:"tolerance"`
}

// limit is the worst value that passes.
func (b Bound) limit() float64 {
	if b.Higher {
		return b.Value / (1 + b.Tolerance)
	}
	return b.Value * (1 + b.Tolerance)
}

// worse says whether v is worse than the bound allows.
func (b Bound) worse(v float64) bool {
	if b.Higher {
		return v < b.limit()
	}
	return v > b.limit()
}

// ReadBaseline reads a baseline and checks it.
func ReadBaseline(file string) (*Baseline, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	b := &Baseline{}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(b); err != nil {
		return nil, fmt.Errorf("baseline %s: %w", file, err)
	}
	if len(b.Ratios) == 0 {
		return nil, fmt.Errorf("baseline %s has no ratios: %w", file, errdefs.ErrInvalidArgument)
	}
	for i, r := range b.Ratios {
		if r.Name == "" || r.Value <= 0 || r.Tolerance <= 0 {
			return nil, fmt.Errorf("baseline %s, ratio %d: name, value and tolerance are needed: %w", file, i, errdefs.ErrInvalidArgument)
		}
	}
	return b, nil
}

// Write writes the baseline to a file.
func (b *Baseline) Write(file string) error {
	raw, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o644)
}

// Compare writes a table of the baseline's ratios beside those that were measured, and
// returns the names of those that are worse than tolerated, or missing, in every run.
func (b *Baseline) Compare(w io.Writer, runs ...*Run) (worse []string, err error) {
	var text strings.Builder
	text.WriteString("| | baseline | limit | measured | |\n|---|---:|---:|---:|---|\n")
	for _, bound := range b.Ratios {
		var measured []string
		verdict, bad := "not measured", true
		for _, r := range runs {
			v, ok := r.ratio(bound.Name)
			if !ok {
				continue
			}
			measured = append(measured, digits(v))
			bad = bad && bound.worse(v)
			verdict = "ok"
			if bad {
				verdict = "**worse**"
			}
		}
		if bad {
			worse = append(worse, bound.Name)
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", bound.Name, digits(bound.Value), digits(bound.limit()), strings.Join(measured, ", then "), verdict)
	}
	_, err = io.WriteString(w, text.String())
	return worse, err
}

// Update takes over the values that the run has measured, of ratios that the
// baseline has.
func (b *Baseline) Update(r *Run) {
	for i := range b.Ratios {
		if v, ok := r.ratio(b.Ratios[i].Name); ok {
			b.Ratios[i].Value = rounded(v)
		}
	}
}

func (r *Run) ratio(name string) (float64, bool) {
	for _, s := range r.Sections {
		if i := slices.IndexFunc(s.Ratios, func(q Ratio) bool { return q.Name == name }); i >= 0 {
			return s.Ratios[i].Value, true
		}
	}
	return 0, false
}

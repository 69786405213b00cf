package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"blazar/engines"
)

// tree makes a root directory with the given files; a name that ends in * is
// executable.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if strings.HasSuffix(name, "*") {
			name, mode = strings.TrimSuffix(name, "*"), 0o755
		}
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// one is a case of a check: a host, and the results it must give.
type one struct {
	name string
	host *Host
	want []Level
	// say are words of the results' findings and remedies.
	say []string
}

func run(t *testing.T, check Check, cases []one) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			results := check(t.Context(), c.host)
			var (
				got  []Level
				text string
			)
			for _, r := range results {
				got = append(got, r.Level)
				text += r.Check + ": " + r.Found + " -> " + r.Remedy + "\n"
				if r.Check == "" || r.Found == "" {
					t.Errorf("empty: %+v", r)
				}
				if (r.Level == OK) != (r.Remedy == "") {
					t.Errorf("a remedy belongs to what is not ok, and to nothing else: %+v", r)
				}
			}
			if strings.Join(words(got), " ") != strings.Join(words(c.want), " ") {
				t.Errorf("levels %v, want %v\n%s", got, c.want, text)
			}
			for _, s := range c.say {
				if !strings.Contains(text, s) {
					t.Errorf("nothing says %q:\n%s", s, text)
				}
			}
		})
	}
}

func words(levels []Level) []string {
	var s []string
	for _, l := range levels {
		s = append(s, string(l))
	}
	return s
}

// fakeEngines are engines by name; nil means that it cannot be opened.
type fakeEngines struct {
	names   []string
	engines map[string]engines.Engine
}

func (f fakeEngines) Names() []string { return f.names }

func (f fakeEngines) Open(_ context.Context, name string) (engines.Engine, error) {
	if e := f.engines[name]; e != nil {
		return e, nil
	}
	return nil, errors.Join(errors.New(name+": library not found"), errdefs.ErrUnavailable)
}

// described is an engine that can only describe itself.
type described struct {
	engines.Engine
	info engines.Info
}

func (d described) Info() engines.Info { return d.info }

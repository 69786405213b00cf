package install

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/pelletier/go-toml/v2"
)

// containerd reads drop-ins only where its main configuration imports them; with
// no main configuration at all it reads none (cmd/containerd/command/main.go).

// newConfig is the main configuration where there was none: containerd's defaults
// and the import.
func newConfig(pattern string) []byte {
	return []byte("# Written by `blazar install`: containerd reads its drop-ins only where this file imports them.\nversion = 3\n" + importLine(pattern))
}

func importLine(pattern string) string { return fmt.Sprintf("imports = [%q]\n", pattern) }

// pattern is what is imported.
func (o Options) pattern() string { return filepath.Join(o.dropInDir(), "*.toml") }

// imported says whether the configuration imports the drop-in.
func (o Options) imported(config []byte) (bool, error) {
	var c struct {
		Imports []string `toml:"imports"`
	}
	if err := toml.Unmarshal(config, &c); err != nil {
		return false, fmt.Errorf("%s: %w", o.ContainerdConfig, err)
	}
	for _, p := range c.Imports {
		if !filepath.IsAbs(p) {
			p = filepath.Join(filepath.Dir(o.ContainerdConfig), p)
		}
		// A pattern that does not match itself is a mistake containerd reports.
		if hit, err := filepath.Match(filepath.Clean(p), o.dropIn()); err == nil && hit {
			return true, nil
		}
	}
	return false, nil
}

var (
	versionLine = regexp.MustCompile(`^\s*version\s*=`)
	importsLine = regexp.MustCompile(`^(\s*imports\s*=\s*\[)([^#]*)(\]\s*(?:#.*)?)$`)
	importsKey  = regexp.MustCompile(`^\s*imports\s*=`)
	tableLine   = regexp.MustCompile(`^\s*\[`)
)

// addImport returns the configuration with the drop-ins imported, and the text
// that was put in. Everything else stays as it is, which is checked.
func (o Options) addImport(config []byte) (changed []byte, text string, err error) {
	lines := strings.SplitAfter(string(config), "\n")
	after := 0 // the new line goes here: behind the version, or first
	for i, line := range lines {
		if tableLine.MatchString(line) {
			break
		}
		if versionLine.MatchString(line) {
			after = i + 1
		}
		if importsKey.MatchString(line) {
			return o.extendImport(config, lines, i)
		}
	}
	if after > 0 && !strings.HasSuffix(lines[after-1], "\n") {
		lines[after-1] += "\n"
	}
	text = importLine(o.pattern())
	out := strings.Join(lines[:after], "") + text + strings.Join(lines[after:], "")
	return []byte(out), text, o.onlyImports(config, []byte(out))
}

// extendImport adds to the list of imports in line i.
func (o Options) extendImport(config []byte, lines []string, i int) ([]byte, string, error) {
	line := strings.TrimSuffix(lines[i], "\n")
	m := importsLine.FindStringSubmatch(line)
	if m == nil {
		return nil, "", o.byHand(errors.New("its list of imports spans several lines"))
	}
	text := fmt.Sprintf("%q", o.pattern())
	switch list := strings.TrimSpace(m[2]); {
	case list == "":
	case strings.HasSuffix(list, ","):
		text = " " + text
	default:
		text = ", " + text
	}
	lines[i] = m[1] + strings.TrimRight(m[2], " \t") + text + m[3] + lines[i][len(line):]
	out := []byte(strings.Join(lines, ""))
	return out, text, o.onlyImports(config, out)
}

// removeImport undoes addImport. It reports false where the text is not there
// any more, exactly once.
func (o Options) removeImport(config []byte, text string) ([]byte, bool) {
	if strings.Count(string(config), text) != 1 {
		return nil, false
	}
	out := []byte(strings.Replace(string(config), text, "", 1))
	return out, o.onlyImports(config, out) == nil
}

// onlyImports checks that two configurations differ in nothing but their imports.
func (o Options) onlyImports(before, after []byte) error {
	var a, b map[string]any
	if err := toml.Unmarshal(before, &a); err != nil {
		return o.byHand(err)
	}
	if err := toml.Unmarshal(after, &b); err != nil {
		return o.byHand(err)
	}
	delete(a, "imports")
	delete(b, "imports")
	if len(a)+len(b) > 0 && !reflect.DeepEqual(a, b) {
		return o.byHand(errors.New("adding the import would change more than the imports"))
	}
	return nil
}

func (o Options) byHand(why error) error {
	return fmt.Errorf("%s cannot be changed: %w; add %q to its `imports` yourself and run this again: %w", o.ContainerdConfig, why, o.pattern(), errdefs.ErrFailedPrecondition)
}

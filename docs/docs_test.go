// Package docs holds the documentation, which is checked here as far as a program
// can.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"blazar/internal/config"
	"blazar/wasmsandboxer/podspec"
)

// pages are all Markdown files of the repository that people read.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && strings.HasPrefix(e.Name(), ".") && path != ".." {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil || len(all) < 8 {
		t.Fatalf("%d pages, %v", len(all), err)
	}
	return all
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinks(t *testing.T) {
	all := pages(t)
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := filepath.Join(filepath.Dir(path), target)
			if target == "" {
				file = path
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if anchor != "" && !strings.Contains(anchors(all[file]), "#"+anchor+"\n") {
				t.Errorf("%s: no heading #%s in %s", path, anchor, file)
			}
		}
	}
}

// anchors lists what the headings of a page can be linked by.
func anchors(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if title := strings.TrimLeft(line, "#"); title != line {
			b.WriteString("#" + strings.ReplaceAll(strings.ToLower(strings.TrimSpace(title)), " ", "-") + "\n")
		}
	}
	return b.String()
}

// TestConfiguration reads the configuration of operating.md, which must hold the
// defaults.
func TestConfiguration(t *testing.T) {
	b, err := os.ReadFile("operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "## Configuring")
	if !ok {
		t.Fatal("no section on configuring")
	}
	var example strings.Builder
	for line := range strings.Lines(text) {
		switch code, indented := strings.CutPrefix(line, "    "); {
		case indented:
			example.WriteString(code)
		case strings.TrimSpace(line) != "" && example.Len() > 0:
			goto parse
		}
	}
parse:
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte(example.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(file)
	if err == nil {
		err = got.Check()
	}
	if err != nil {
		t.Fatalf("%v:\n%s", err, example.String())
	}
	want := config.Default()
	// Defaults that are filled in by those who use them.
	got.Wasm.CgroupParent, got.Wasm.MemoryOverhead, got.Wasm.CacheBytes, got.Runc.CgroupParent = "", 0, 0, ""
	if !reflect.DeepEqual(got, want) {
		t.Errorf("documented %+v, default %+v", got, want)
	}
}

func TestAnnotations(t *testing.T) {
	b, err := os.ReadFile("annotations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		podspec.AnnotationEngine, podspec.AnnotationListen, podspec.AnnotationIsolation, podspec.AnnotationPrepared,
		podspec.AnnotationFirstTier, podspec.AnnotationMixed, podspec.AnnotationCrunHandler,
	} {
		if !strings.Contains(string(b), "| `"+name+"` |") {
			t.Errorf("annotations.md does not say what %s means", name)
		}
	}
}

package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files that Write makes, beside SVG and PNG of every figure.
const (
	Raw  = "results.json"
	Text = "results.md"
	Page = "index.html"
)

// Write writes the run into a directory, which it makes.
func (r *Run) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("results as JSON: %w", err)
	}
	var text, page strings.Builder
	if err := r.Markdown(&text); err != nil {
		return err
	}
	if err := r.HTML(&page); err != nil {
		return err
	}
	files := map[string][]byte{
		Raw: append(raw, '\n'), Text: []byte(text.String()), Page: []byte(page.String()),
	}
	colours := r.colours()
	for _, s := range r.Sections {
		for _, f := range s.Drawn() {
			if files[s.file(f)+".svg"], err = f.svg(true, colours); err != nil {
				return err
			}
			if files[s.file(f)+".png"], err = f.png(colours); err != nil {
				return err
			}
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// file is the name of a figure's files, without extension.
func (s *Section) file(f *Figure) string { return s.Name + "-" + f.Name }

// Read reads what Write wrote as Raw.
func Read(file string) (*Run, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &Run{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if r.Environment == nil || len(r.Sections) == 0 {
		return nil, fmt.Errorf("%s holds no results of a benchmark", file)
	}
	return r, nil
}

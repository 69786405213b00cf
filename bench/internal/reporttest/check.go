// Package reporttest checks the files that a run was written as.
package reporttest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"blazar/bench/internal/report"
)

// Check fails the test unless dir holds everything that r.Write writes, whole and
// readable, and nothing else.
func Check(t testing.TB, dir string, r *report.Run) {
	t.Helper()
	want := []string{report.Raw, report.Text, report.Page}
	for _, s := range r.Sections {
		for _, f := range s.Drawn() {
			base := s.Name + "-" + f.Name
			want = append(want, base+".svg", base+".png")
			if err := checkSVG(read(t, dir, base+".svg")); err != nil {
				t.Errorf("%s.svg: %v", base, err)
			}
			checkPNG(t, base, read(t, dir, base+".png"))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range entries {
		have = append(have, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("files %q, want %q", have, want)
	}
	if err := checkHTML(read(t, dir, report.Page)); err != nil {
		t.Errorf("%s: %v", report.Page, err)
	}
	text := string(read(t, dir, report.Text))
	for _, s := range r.Sections {
		if !strings.Contains(text, "\n## "+s.Title+"\n") {
			t.Errorf("%s has no section %q", report.Text, s.Title)
		}
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Errorf("%s has figures that are no numbers", report.Text)
	}
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Error(err)
	}
	return b
}

// checkSVG reads all of an SVG as XML.
func checkSVG(b []byte) error {
	d, paths, root := xml.NewDecoder(bytes.NewReader(b)), 0, ""
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if e, ok := token.(xml.StartElement); ok {
			if root == "" {
				root = e.Name.Local
			}
			if e.Name.Local == "path" {
				paths++
			}
		}
	}
	if root != "svg" || paths < 3 {
		return fmt.Errorf("<%s> with %d paths is no plot", root, paths)
	}
	return nil
}

func checkPNG(t testing.TB, name string, b []byte) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Errorf("%s.png: %v", name, err)
		return
	}
	if s := img.Bounds().Size(); s.X < 500 || s.Y < 100 {
		t.Errorf("%s.png: %v", name, s)
	}
}

// void elements have no end tag.
var void = []string{"meta", "link", "br", "img", "input", "hr"}

// checkHTML checks that every element ends where it must, and that the page needs
// nothing but itself.
func checkHTML(b []byte) error {
	var open []string
	tables, figures := 0, 0
	for z := html.NewTokenizer(bytes.NewReader(b)); ; {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			switch err := z.Err(); {
			case !errors.Is(err, io.EOF):
				return err
			case len(open) > 0:
				return fmt.Errorf("elements that do not end: %q", open)
			case tables == 0 || figures == 0:
				return fmt.Errorf("%d tables, %d figures", tables, figures)
			}
			return nil
		case html.StartTagToken:
			if !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
			switch token.Data {
			case "table":
				tables++
			case "svg":
				figures++
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				return fmt.Errorf("</%s> within %q", token.Data, open)
			}
			open = open[:len(open)-1]
		}
		for _, a := range token.Attr {
			outside := a.Key == "src" || a.Key == "href" && !strings.HasPrefix(a.Val, "#")
			if outside {
				return fmt.Errorf("<%s %s=%q> is outside of the page", token.Data, a.Key, a.Val)
			}
		}
	}
}

package report

import (
	_ "embed"
	"html/template"
	"io"
	"regexp"
	"strings"
	"time"
)

//go:embed page.html.tmpl
var pageSource string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"paragraphs": func(s string) []string { return strings.Split(s, "\n\n") },
	"bold":       bold,
}).Parse(pageSource))

// pageView is what the template shows.
type pageView struct {
	Date        string
	Machine     []string
	Contestants []Contestant
	Sections    []sectionView
}

type sectionView struct {
	*Section
	Tables  []tableView
	Figures []template.HTML
	Goals   []goalView
	Took    string
}

type tableView struct {
	Title, Legend, Noise string
	Heads                []string
	Rows                 []rowView
}

type rowView struct {
	Label     string
	Reference bool
	Cells     []cell
}

type goalView struct {
	Name, Value, Limit, Verdict string
	Met                         bool
}

// HTML writes one page that holds everything and needs nothing else.
func (r *Run) HTML(w io.Writer) error {
	v := pageView{Date: r.Environment.Time.Format(time.DateOnly), Machine: r.machine(), Contestants: r.explained()}
	for _, s := range r.Sections {
		sv := sectionView{Section: s, Took: s.Took.Round(time.Second).String()}
		for _, t := range s.Tables {
			sv.Tables = append(sv.Tables, t.view())
		}
		for _, g := range s.goals() {
			sv.Goals = append(sv.Goals, goalView{g.label(), g.Unit.Format(g.Value), g.limit(), g.verdict(), g.Met()})
		}
		for _, f := range s.Drawn() {
			svg, err := f.inline(r.colours())
			if err != nil {
				return err
			}
			sv.Figures = append(sv.Figures, svg)
		}
		v.Sections = append(v.Sections, sv)
	}
	return page.Execute(w, v)
}

func (t *Table) view() tableView {
	v := tableView{Title: t.Title, Legend: t.legend(), Noise: t.noise()}
	for _, c := range t.Columns {
		v.Heads = append(v.Heads, t.head(c))
	}
	for _, row := range t.Rows {
		rv := rowView{Label: row.Label, Reference: row.Label == t.Reference}
		for _, c := range t.Columns {
			rv.Cells = append(rv.Cells, t.cell(row, c))
		}
		v.Rows = append(v.Rows, rv)
	}
	return v
}

var (
	prolog = regexp.MustCompile(`(?s)^.*?<svg `)
	size   = regexp.MustCompile(`^<svg width="[^"]*" height="[^"]*"`)
	family = regexp.MustCompile(`font-family:[^;"]*;?`)
)

// inline is the figure as an element of the page, in its colours and its font.
func (f *Figure) inline(colours map[string]int) (template.HTML, error) {
	b, err := f.svg(false, colours)
	if err != nil {
		return "", err
	}
	svg := prolog.ReplaceAllString(string(b), "<svg ")
	svg = size.ReplaceAllString(svg, `<svg role="img" aria-label="`+template.HTMLEscapeString(f.Title)+`"`)
	svg = strings.ReplaceAll(svg, "stroke:#000000", "stroke:currentColor")
	svg = family.ReplaceAllString(svg, "")
	return template.HTML(svg), nil // made here from figures, whose texts gonum escapes
}

// bold turns the one mark of Markdown that texts have here into HTML.
func bold(s string) template.HTML {
	s = template.HTMLEscapeString(s)
	for strings.Count(s, "**") > 1 {
		s = strings.Replace(strings.Replace(s, "**", "<strong>", 1), "**", "</strong>", 1)
	}
	return template.HTML(s) // escaped above
}

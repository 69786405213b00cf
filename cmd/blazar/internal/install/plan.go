package install

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/diff"
)

// Verbs of actions.
const (
	create = "create"
	update = "update"
	edit   = "edit"
	remove = "remove"
	keep   = "keep"
	leave  = "leave"
)

// action is one step of a plan.
type action struct {
	verb     string
	path     string
	old, new []byte
	mode     os.FileMode
	// note says why, for people.
	note string
}

// Plan is what an installation or removal will do.
type Plan struct {
	o       Options
	actions []action
	// before is the manifest to write first, after the one to write last; nil
	// means that there shall be none.
	before, after *manifest
	// rmdirs are the directories to remove where they are empty.
	rmdirs []string
	// conflicts are the paths that are in the way unless forced.
	conflicts []string
}

// Changes says whether there is anything to do.
func (p *Plan) Changes() bool {
	for _, a := range p.actions {
		if a.verb != keep && a.verb != leave {
			return true
		}
	}
	return false
}

// Print writes the plan: a line per file, and the differences of texts.
func (p *Plan) Print(w io.Writer) error {
	var b strings.Builder
	for _, a := range p.actions {
		fmt.Fprintf(&b, "%-6s  %s", a.verb, a.path)
		if a.note != "" {
			fmt.Fprintf(&b, "  (%s)", a.note)
		}
		b.WriteByte('\n')
		if a.verb == keep || a.verb == leave {
			continue
		}
		if !isText(a.old) || !isText(a.new) {
			continue
		}
		for line := range bytes.Lines(diff.Diff(a.path, a.old, a.path, a.new)) {
			if !bytes.HasPrefix(line, []byte("diff ")) {
				b.WriteString("        ")
				b.Write(line)
			}
		}
	}
	if !p.Changes() {
		b.WriteString("nothing to do\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func isText(b []byte) bool { return len(b) < 1<<16 && utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

package wasmsandboxer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// fifo makes one and opens it as wasm-task and the daemon have it.
func fifo(t *testing.T) (w, r *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stderr")
	w, err := makeFIFO(path)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	return w, r
}

func TestEachLine(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for name, c := range map[string]struct{ says, want []string }{
		"lines":            {[]string{"one\ntwo\n"}, []string{"one", "two"}},
		"in pieces":        {[]string{"o", "ne\ntw", "o\n"}, []string{"one", "two"}},
		"no end":           {[]string{"one\nlast words"}, []string{"one", "last words"}},
		"empty lines":      {[]string{"\n\none\n\n"}, []string{"one"}},
		"nothing":          {nil, nil},
		"as long as may":   {[]string{long, "\n", "next\n"}, []string{long, "next"}},
		"longer":           {[]string{"a" + long + "\nnext\n"}, []string{"a" + long[1:], "x", "next"}},
		"much longer":      {[]string{long, long, "y\n"}, []string{long, long, "y"}},
		"longer in pieces": {[]string{"ab", long, "\n"}, []string{"ab" + long[2:], "xx"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := fifo(t)
			heard := make(chan []string)
			go func() {
				var all []string
				if err := eachLine(r, func(line []byte) { all = append(all, string(line)) }); err != nil {
					all = append(all, fmt.Sprint(err))
				}
				heard <- all
			}()
			for _, s := range c.says {
				if _, err := w.WriteString(s); err != nil {
					t.Error(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if got := <-heard; !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

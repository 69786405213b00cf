package main

import (
	"strings"
	"testing"
)

func TestCount(t *testing.T) {
	for _, c := range []struct {
		name, events string
		passed       int
		failed       int
		skipped      int
		says         []string
	}{
		{
			name: "subtests count, their parent does not",
			events: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"run","Package":"p","Test":"A/y"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"output","Package":"p","Test":"A/y","Output":"it is broken\n"}
{"Action":"fail","Package":"p","Test":"A/y"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p","Elapsed":1.25}`,
			passed: 1, failed: 1,
			says: []string{"it is broken", "FAIL\tp\t1.2s", "failed: p A/y\n", "\n1 passed, 1 failed, 0 skipped\n"},
		},
		{
			name: "skipped with its reason",
			events: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:1: no root\n"}
{"Action":"output","Package":"p","Test":"A","Output":"--- SKIP: A\n"}
{"Action":"skip","Package":"p","Test":"A"}
{"Action":"pass","Package":"p"}`,
			skipped: 1,
			says:    []string{"skipped: p A: a_test.go:1: no root\n"},
		},
		{
			name: "a package that does not build",
			events: `{"ImportPath":"p","Action":"build-output","Output":"x.go:1: undefined\n"}
{"Action":"fail","Package":"p"}`,
			failed: 1,
			says:   []string{"x.go:1: undefined", "failed: p\n"},
		},
		{
			name: "a process that dies within a test",
			events: `{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"panic: timed out\n"}
{"Action":"fail","Package":"p"}`,
			failed: 1,
			says:   []string{"panic: timed out"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			k := newCounter(&out)
			if err := k.read(strings.NewReader(c.events)); err != nil {
				t.Fatal(err)
			}
			k.summary()
			if k.passed != c.passed || k.failed != c.failed || k.skipped != c.skipped {
				t.Errorf("%d passed, %d failed, %d skipped", k.passed, k.failed, k.skipped)
			}
			for _, s := range c.says {
				if !strings.Contains(out.String(), s) {
					t.Errorf("%q is missing in:\n%s", s, out.String())
				}
			}
		})
	}
}

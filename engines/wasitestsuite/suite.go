// Package wasitestsuite runs the cases of the public WASI test suite
// (https://github.com/WebAssembly/wasi-testsuite, preview 1) as its
// doc/specification.md describes, one command line of `blazar run` per case.
//
// The suite is not part of the repository: WASI_TESTSUITE names its directory or
// its .tar.gz. adapter.py drives the same command from the suite's own runner.
package wasitestsuite

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Case is one test of the suite.
type Case struct {
	// Name is language/case, as in c/lseek.
	Name string
	// Module is the path of its module, beside which its fixtures are.
	Module string
	Spec
}

// Spec is what the case's .json says; a case without one has the zero Spec.
type Spec struct {
	Args []string          `json:"args"`
	Env  map[string]string `json:"env"`
	// Root is a directory beside the module that the guest gets as "/".
	Root     string `json:"root"`
	ExitCode int    `json:"exit_code"`
	// Output that a case does not mention is not compared.
	Stdout *string `json:"stdout"`
	Stderr *string `json:"stderr"`
	// Operations are the newer form of a specification, which the cases of
	// preview 1 do not use.
	Operations []json.RawMessage `json:"operations"`
}

// Check compares how a run ended with what the case wants; the error says in what
// way it failed.
func (c *Case) Check(code int, stdout, stderr string) error {
	var problems []error
	if code != c.ExitCode {
		problems = append(problems, fmt.Errorf("exit code %d, want %d; stderr: %s", code, c.ExitCode, stderr))
	}
	for _, stream := range []struct {
		name, got string
		want      *string
	}{{"stdout", stdout, c.Stdout}, {"stderr", stderr, c.Stderr}} {
		if stream.want != nil && *stream.want != stream.got {
			problems = append(problems, fmt.Errorf("%s is %q, want %q", stream.name, stream.got, *stream.want))
		}
	}
	return errors.Join(problems...)
}

// Fixtures is the directory that the guest gets as "/", empty without one. It is not
// to be changed: a guest gets a copy.
func (c *Case) Fixtures() string {
	if c.Root == "" {
		return ""
	}
	return filepath.Join(filepath.Dir(c.Module), c.Root)
}

// Cases finds the preview 1 cases below dir, whatever the folders above the
// modules are called as long as the last one says so.
func Cases(dir string) ([]Case, error) {
	var cases []Case
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".wasm" || filepath.Base(filepath.Dir(path)) != "wasm32-wasip1" {
			return err
		}
		c, err := read(path)
		cases = append(cases, c)
		return err
	})
	if err == nil && len(cases) == 0 {
		err = fmt.Errorf("%s: no case of preview 1 (LANGUAGE/testsuite/wasm32-wasip1/*.wasm); is it the WASI test suite, built?", dir)
	}
	slices.SortFunc(cases, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
	return cases, err
}

func read(module string) (Case, error) {
	base := strings.TrimSuffix(module, ".wasm")
	language := filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(module))))
	c := Case{Name: language + "/" + filepath.Base(base), Module: module}
	b, err := os.ReadFile(base + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &c.Spec)
	}
	if err == nil && c.Operations != nil {
		err = errors.New("a specification by operations is of a newer suite than this runner knows")
	}
	if err == nil && c.Root != "" && !filepath.IsLocal(c.Root) {
		err = fmt.Errorf("its root %q leads out of its directory", c.Root)
	}
	if err != nil {
		return c, fmt.Errorf("%s.json: %w", base, err)
	}
	return c, nil
}

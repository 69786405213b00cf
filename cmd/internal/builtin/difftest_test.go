package builtin

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"blazar/engines/enginetest/difftest"
	"blazar/examples/wasm-images/recipe"
	"blazar/internal/testneeds"
)

// generated is how many programs are made by chance.
const generated = 200

// contestants must be at least two, or nothing is compared.
func contestants(t testing.TB) []difftest.Contestant {
	t.Helper()
	all := difftest.Contestants(t, Engines())
	if len(all) < 2 {
		t.Fatalf("nothing to compare: %d ways of running a module", len(all))
	}
	return all
}

// TestAllTakePart needs libwasmedge: tools/wasmedge/run starts a program with it.
func TestAllTakePart(t *testing.T) {
	for _, name := range Engines().Names() {
		_, err := Engines().Open(t.Context(), name)
		testneeds.NoError(t, err)
	}
}

// TestGeneratedPrograms runs programs made by chance on every engine.
func TestGeneratedPrograms(t *testing.T) {
	all := contestants(t)
	ends := map[string]int{}
	for seed := range uint64(generated) {
		if first := compare(t, all, fmt.Sprintf("seed %d", seed), &difftest.Program{Module: difftest.Generate(seed)}); first != nil {
			ends[first.End]++
		}
		if t.Failed() {
			break // one is enough to look at
		}
	}
	t.Logf("%d ways to end: %v", len(ends), ends)
}

// FuzzGeneratedPrograms looks for a seed that engines disagree about.
func FuzzGeneratedPrograms(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		compare(t, contestants(t), fmt.Sprintf("seed %d", seed), &difftest.Program{Module: difftest.Generate(seed)})
	})
}

// compare reports what differs, and keeps the module for who looks into it.
func compare(t *testing.T, all []difftest.Contestant, name string, p *difftest.Program) *difftest.Outcome {
	t.Helper()
	first, differences := difftest.Compare(t, all, p)
	for _, d := range differences {
		t.Errorf("%s: %s", name, d)
	}
	if first.End == "refused" {
		t.Errorf("%s: no engine runs it", name)
	}
	if len(differences) > 0 && os.Getenv("KEEP_MODULES") != "" {
		file := filepath.Join(os.Getenv("KEEP_MODULES"), name+".wasm")
		if err := os.WriteFile(file, p.Module, 0o644); err != nil {
			t.Error(err)
		}
	}
	return first
}

// TestExamples runs the example programs on every engine. Those that serve until they
// are stopped are compared by the tests of pods.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	recipes, err := recipe.LoadAll("../../../examples/wasm-images")
	if err != nil {
		t.Fatal(err)
	}
	all := contestants(t)
	for _, r := range recipes {
		runs, known := exampleRuns[r.Name]
		if !known {
			t.Errorf("example %s is not compared: say how in exampleRuns", r.Name)
		}
		if len(runs) == 0 {
			continue
		}
		built, err := r.Build(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		module, err := os.ReadFile(built.Module)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range runs {
			t.Run(fmt.Sprintf("%s-%d", r.Name, i), func(t *testing.T) {
				p.Module = module
				first := compare(t, all, t.Name(), &p)
				t.Logf("%v: %s, %d bytes on stdout, %d on stderr, %d files", p.Args, first.End, len(first.Stdout), len(first.Stderr), len(first.Files))
			})
		}
	}
}

// exampleRuns says how each example is run; none for servers.
var exampleRuns = map[string][]difftest.Program{
	"hello-c":  {{Args: []string{"a", "b c"}, Env: []string{"A=1"}}},
	"hello-go": {{Args: []string{"a"}, Env: []string{"A=1", "PWD=/"}}},
	"cpu":      {{Args: []string{"300000"}, AnyStderr: true}, {Args: []string{"none"}}},
	"volumes":  {{Files: map[string]string{"in/given.txt": "given\n", "in/other": "x", "out/": ""}}, {}},
	"pair":     {{Args: []string{"write"}, Files: map[string]string{"shared/": ""}}, {Args: []string{"write"}}, {}},
	"leak":     {{Args: []string{"4"}, Memory: 64 << 20}, {Memory: 24 << 20}},
	"trap": {
		{}, {Args: []string{"unreachable"}}, {Args: []string{"memory"}}, {Args: []string{"divide"}}, {Args: []string{"overflow"}}, {Args: []string{"table"}},
		{Args: []string{"null"}}, {Args: []string{"signature"}}, {Args: []string{"conversion"}}, {Args: []string{"stack"}}, {Args: []string{"nonsense"}},
	},
	"toolbox": {
		{Args: []string{"args", "1", "", "drei"}}, {Args: []string{"env"}, Env: []string{"B=2", "A=1"}},
		{Args: []string{"cat"}, Stdin: "all of this\nand this"}, {Args: []string{"cat", "/f", "/g"}, Files: map[string]string{"f": "text"}},
		{Args: []string{"ls", "/"}, Files: map[string]string{"b": "", "a": "1", "d/e": ""}}, {Args: []string{"exit", "7"}}, {Args: []string{"nonsense"}},
		{Args: []string{"put", "/new", "a", "b"}, Files: map[string]string{"old": "x"}}, {Args: []string{"rm", "/old", "/none"}, Files: map[string]string{"old": "x"}},
		{Args: []string{"stderr", "oh"}}, {Args: []string{"tty"}}, {Args: []string{"pwd"}}, {Args: []string{"sleep", "0"}},
	},
	"stubborn": nil, "http": nil, "http-go": nil,
}

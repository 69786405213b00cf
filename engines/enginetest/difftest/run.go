package difftest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"blazar/engines"
	"blazar/engines/wasip1"
)

// Program is what runs on every contestant.
type Program struct {
	Module []byte
	// Args and Env are the guest's; Stdin is what it can read.
	Args, Env []string
	Stdin     string
	// Files are in the guest's "/" at the beginning, by path; a path that ends in a
	// slash is a directory.
	Files map[string]string
	// Memory bounds linear memory, in bytes, 0 for none.
	Memory uint64
	// AnyStderr is for programs that write on stderr how long they took.
	AnyStderr bool
}

// Outcome is all that one can see of a run.
type Outcome struct {
	// End is "exit N", "trap: KIND", "out of memory" or what the engine said against
	// running the module.
	End            string
	Stdout, Stderr string
	// Files are those in the guest's "/" at the end, directories with a slash.
	Files map[string]string
}

// patience bounds one run.
const patience = time.Minute

// Run runs p on c.
func Run(t testing.TB, c Contestant, p *Program) *Outcome {
	t.Helper()
	o, err := run(t, c, p)
	if err != nil {
		t.Fatalf("%s: %v", c.Name, err)
	}
	return o
}

func run(t testing.TB, c Contestant, p *Program) (_ *Outcome, err error) {
	dir, err := os.MkdirTemp("", "difftest-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	artifact, root := filepath.Join(dir, "artifact"), filepath.Join(dir, "root")
	if err := errors.Join(os.Mkdir(artifact, 0o700), os.Mkdir(root, 0o700), p.fill(root)); err != nil {
		return nil, err
	}
	module, err := c.load(t.Context(), p.Module, artifact)
	if err != nil {
		return &Outcome{End: "refused"}, nil // in whatever words
	}
	defer func() { err = errors.Join(err, module.Close()) }()
	w, err := openWorld(dir, root, p)
	if err != nil {
		return nil, err
	}
	defer w.close()
	exit, err := w.run(t, module, p)
	if err != nil {
		return nil, err
	}
	o := &Outcome{End: end(exit)}
	stdout, err1 := os.ReadFile(w.stdout.Name())
	stderr, err2 := os.ReadFile(w.stderr.Name())
	files, err3 := tree(root)
	o.Stdout, o.Files = string(stdout), files
	if !p.AnyStderr {
		o.Stderr = string(stderr)
	}
	return o, errors.Join(err1, err2, err3)
}

// fill makes the files that the program starts with, always in the same order: on some
// file systems that is the one in which a directory is read.
func (p *Program) fill(root string) error {
	for _, name := range slices.Sorted(maps.Keys(p.Files)) {
		content := p.Files[name]
		path := filepath.Join(root, name)
		if name[len(name)-1] == '/' {
			if err := os.MkdirAll(path, 0o700); err != nil {
				return err
			}
			continue
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// world is what the guest sees.
type world struct {
	stdin, stdout, stderr, root *os.File
	system                      *wasip1.System
}

func openWorld(dir, root string, p *Program) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	for name, f := range map[string]**os.File{"stdin": &w.stdin, "stdout": &w.stdout, "stderr": &w.stderr} {
		if *f, err = os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(w.stdin.Name(), []byte(p.Stdin), 0o600); err != nil {
		return nil, err
	}
	if w.root, err = os.Open(root); err != nil {
		return nil, err
	}
	w.system, err = wasip1.New(wasip1.Config{
		Args: append([]string{"guest"}, p.Args...), Env: p.Env,
		Stdin: w.stdin, Stdout: w.stdout, Stderr: w.stderr,
		Preopens: []wasip1.Preopen{{Guest: "/", Dir: w.root}},
	})
	return w, err
}

func (w *world) close() {
	if w.system != nil {
		_ = w.system.Close() // the guest has ended
	}
	for _, f := range []*os.File{w.stdin, w.stdout, w.stderr, w.root} {
		if f != nil {
			_ = f.Close() // what was written is read by name
		}
	}
}

// run runs the guest on a thread of its own, as the contract wants.
func (w *world) run(t testing.TB, module engines.Module, p *Program) (engines.Exit, error) {
	i, err := module.New(t.Context(), engines.Config{System: w.system, MemoryLimit: p.Memory})
	if err != nil {
		return engines.Exit{Err: err}, nil
	}
	timer := time.AfterFunc(patience, i.Kill)
	done := make(chan engines.Exit)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- i.Run()
	}()
	exit := <-done
	timer.Stop()
	return exit, i.Close()
}

// end puts an end into words that do not depend on the engine.
func end(e engines.Exit) string {
	switch {
	case e.Err != nil:
		return "refused"
	case e.Killed:
		return fmt.Sprintf("still running after %s", patience)
	case e.OOM:
		return "out of memory"
	case e.Trap != nil:
		kind := e.Trap.Kind
		if kind == engines.TrapIndirectNull {
			kind = engines.TrapTable // which is all that some engines tell
		}
		return "trap: " + kind
	}
	return fmt.Sprintf("exit %d", e.Code)
}

// tree reads the files below dir.
func tree(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || path == ".":
			return err
		case d.IsDir():
			files[path+"/"] = ""
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			files[path], err = os.Readlink(filepath.Join(dir, path))
			return err
		}
		b, err := os.ReadFile(filepath.Join(dir, path))
		files[path] = string(b)
		return err
	})
	return files, err
}

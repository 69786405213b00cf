package wasmedgelib

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

// place makes a directory with files of these names.
func place(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCommands(t *testing.T) {
	dir := place(t, object, Loader)
	file := filepath.Join(dir, object)
	plain := Command{Path: "/p", Args: []string{"a"}}
	preloaded := Command{Path: "/p", Args: []string{"a"}, Env: []string{"LD_PRELOAD=" + file}}
	own := Command{Path: filepath.Join(dir, Loader), Args: []string{"--library-path", dir, "--preload", file, "/p", "a"}}
	for name, c := range map[string]struct {
		where             string
		command, confined Command
	}{
		"Host":      {"", plain, Command{Path: "/p", Args: []string{"a"}, Env: []string{"LD_PRELOAD=" + object}}},
		"File":      {file, preloaded, preloaded},
		"Directory": {dir, own, own},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Find(c.where)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Command("/p", "a"); !reflect.DeepEqual(got, c.command) {
				t.Errorf("command %+v, want %+v", got, c.command)
			}
			if got := l.Confined("/p", "a"); !reflect.DeepEqual(got, c.confined) {
				t.Errorf("confined %+v, want %+v", got, c.confined)
			}
			if l.Loaded() {
				t.Error("this process is said to be one that the library's loader started")
			}
		})
	}
}

func TestFindRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		where string
		is    func(error) bool
		says  string
	}{
		"Relative": {"lib", errdefs.IsInvalidArgument, "absolute"},
		"Blank":    {"/a b", errdefs.IsInvalidArgument, "loader"},
		"Origin":   {"/$ORIGIN", errdefs.IsInvalidArgument, "loader"},
		"Nowhere":  {"/nowhere/at/all", errdefs.IsNotFound, "libwasmedge0"},
		"Empty":    {place(t), errdefs.IsNotFound, object},
		"NoLoader": {place(t, object), errdefs.IsNotFound, Loader},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Find(c.where); !c.is(err) || !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
		})
	}
}

// Through descriptors the same files are found when their paths lead nowhere.
func TestInherit(t *testing.T) {
	t.Run("directory", func(t *testing.T) {
		dir := place(t, object, Loader)
		c := inherited(t, dir, dir)
		found(t, dir, c.Path, c.Args[1], c.Args[3])
	})
	t.Run("file", func(t *testing.T) {
		dir := place(t, object, "beside")
		c := inherited(t, dir, filepath.Join(dir, object))
		path := strings.TrimPrefix(c.Env[0], "LD_PRELOAD=")
		found(t, dir, path, filepath.Join(filepath.Dir(path), "beside"))
	})
}

// inherited is a command with the library in dir, which has another name by now.
func inherited(t *testing.T, dir, where string) Command {
	t.Helper()
	l, err := Find(where)
	if err == nil {
		l, err = l.Inherit()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	return l.Confined("/p")
}

func found(t *testing.T, dir string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if strings.HasPrefix(path, dir) {
			t.Errorf("%s is no descriptor", path)
		}
	}
}

package ociwasm

import (
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Source says where a module is and where it starts.
type Source struct {
	// Layer is the blob that is the module; nil means a file in the root file system.
	Layer *ocispec.Descriptor
	// Path is the file as the command names it: absolute, relative or a bare name;
	// see Candidates. Set for a Layer too, as the name the guest gets in args[0].
	Path string
	// Export is the function to call, empty for the engine's default, _start.
	Export string
}

// defaultPath is what a Linux container searches when its environment has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Locate says which module arg0, the first word of a container's or an exec's
// command line, means: `path` or `path#export`, split at the last #. In an image
// whose module is a layer it is that layer that "/", the image's own command, the
// layer's title or any path ending in .wasm means; everything else is a file of
// the root file system, or a *Refusal where the image has none.
func Locate(image *Image, arg0 string) (Source, error) {
	s := Source{Path: arg0}
	if i := strings.LastIndexByte(arg0, '#'); i >= 0 && i+1 < len(arg0) {
		s.Path, s.Export = arg0[:i], arg0[i+1:]
	}
	if strings.ContainsRune(s.Path, 0) || len(s.Path) > 4096 {
		return Source{}, invalid("command", "name the module by its path", "it is no path")
	}
	if image.Module == nil {
		if s.Path == "" {
			return Source{}, invalid("command", "name the module in the image, as in /app.wasm", "it is empty")
		}
		return s, nil
	}
	if meansLayer(image, s.Path) {
		s.Layer = image.Module
		return s, nil
	}
	if len(image.Layers) > 0 {
		return s, nil
	}
	return Source{}, missing("command "+arg0, `use "/" or a path ending in .wasm`,
		"the image has no files, only the module %s", image.Module.Digest)
}

func meansLayer(image *Image, name string) bool {
	if name == "" || name == "/" {
		return true
	}
	if t := image.Module.Annotations[ocispec.AnnotationTitle]; t != "" && path.Base(t) == path.Base(name) {
		return true
	}
	if args := image.Config.Args(); len(args) > 0 {
		own, _, _ := strings.Cut(args[0], "#")
		if own == name {
			return true
		}
	}
	return len(image.Layers) == 0 && strings.HasSuffix(name, ".wasm")
}

// Candidates lists the absolute paths below the container's root to try, in order,
// for a module that is a file: an absolute path is itself, one with a slash is
// below cwd, a bare name is searched in the PATH of env ("NAME=value") as execvp
// does and last in cwd, since images commonly name a module in their working
// directory. The paths are cleaned; resolve them with RESOLVE_IN_ROOT.
func (s Source) Candidates(cwd string, env []string) []string {
	cwd = path.Join("/", cwd)
	switch {
	case s.Layer != nil || s.Path == "":
		return nil
	case path.IsAbs(s.Path):
		return []string{path.Clean(s.Path)}
	case strings.Contains(s.Path, "/"):
		return []string{path.Join(cwd, s.Path)}
	}
	search := defaultPath
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	var out []string
	for dir := range strings.SplitSeq(search, ":") {
		if !path.IsAbs(dir) {
			dir = path.Join(cwd, dir)
		}
		if c := path.Join(dir, s.Path); !slices.Contains(out, c) && len(out) < 64 {
			out = append(out, c)
		}
	}
	if c := path.Join(cwd, s.Path); !slices.Contains(out, c) {
		out = append(out, c)
	}
	return out
}

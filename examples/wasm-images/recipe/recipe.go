package recipe

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2"

	ociwasm "blazar/oci-wasm"
)

// Registry is the host in the names of the example images.
const Registry = "blazar.example"

// File is a recipe's name in its folder.
const File = "image.toml"

// Recipe says how a folder becomes images.
type Recipe struct {
	// Dir is the folder, Name its base: that of the module.
	Dir  string `toml:"-"`
	Name string `toml:"-"`
	// Go means that the folder is a Go main package; else Sources, in C.
	Go      bool     `toml:"go"`
	Sources []string `toml:"sources"`
	// CFlags are given to clang behind the usual ones.
	CFlags []string `toml:"cflags"`
	Images []Image  `toml:"image"`

	text []byte
}

// Image is one image of a recipe's module.
type Image struct {
	// Name without registry and tag; also that of the tar.
	Name string `toml:"name"`
	// Shape is a letter, A without one.
	Shape string `toml:"shape"`
	// Cmd, Env and Workdir are those of the image's config.
	Cmd     []string `toml:"cmd"`
	Env     []string `toml:"env"`
	Workdir string   `toml:"workdir"`
	// Mkdir are directories for volumes, writable for everyone.
	Mkdir []string `toml:"mkdir"`
	// Annotations are those of the manifest.
	Annotations map[string]string `toml:"annotations"`
}

// Ref is the image's full name.
func (i Image) Ref() string { return Registry + "/" + i.Name + ":latest" }

// Load reads the recipe of a folder. A word that it does not know is an error.
func Load(dir string) (*Recipe, error) {
	text, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	r := &Recipe{Dir: abs, Name: filepath.Base(abs), text: text}
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(r); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", dir, File, err)
	}
	if r.Go == (len(r.Sources) > 0) {
		return nil, fmt.Errorf("%s/%s: it must have either go = true or sources", dir, File)
	}
	if len(r.Images) == 0 {
		return nil, fmt.Errorf("%s/%s: it has no [[image]]", dir, File)
	}
	return r, nil
}

// LoadAll reads the recipes in the folders of dir, sorted by name.
func LoadAll(dir string) ([]*Recipe, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", File))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no folder in %s has an %s", dir, File)
	}
	slices.Sort(files)
	var all []*Recipe
	for _, f := range files {
		r, err := Load(filepath.Dir(f))
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// options are what the image is packed with.
func (i Image) options(module []byte, file string) (ociwasm.PackOptions, error) {
	o := ociwasm.PackOptions{
		Module: module, Ref: i.Ref(), Path: "/" + file,
		Cmd: i.Cmd, Env: i.Env, WorkingDir: i.Workdir, Annotations: i.Annotations,
	}
	for _, dir := range i.Mkdir {
		o.Files = append(o.Files, ociwasm.File{Path: dir, Mode: fs.ModeDir | fs.ModeSticky | 0o777})
	}
	if i.Shape == "" {
		return o, nil
	}
	var err error
	o.Shape, err = ociwasm.ParseShape(i.Shape)
	return o, err
}

package linuximage

import (
	"archive/tar"
	"bytes"
	"cmp"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"blazar/internal/node"
)

// entry is what a layer has at one path.
type entry struct {
	path    string
	mode    int64 // with a directory's, set-user-ID and sticky bits as in stat(2)
	content []byte
	link    string // target of a symbolic link
	same    string // another path of the same file
}

func file(path string, mode int64, content []byte) entry {
	return entry{path: path, mode: mode, content: content}
}

func text(path, content string) entry { return file(path, 0o644, []byte(content)) }

func script(path, content string) entry { return file(path, 0o755, []byte("#!/bin/sh\n"+content)) }

func link(path, target string) entry { return entry{path: path, mode: 0o777, link: target} }

// same is another name of a file whose path comes before it.
func same(path, of string) entry { return entry{path: path, mode: 0o755, same: of} }

// dir is a directory; its path ends with a slash.
func dir(path string, mode int64) entry { return entry{path: path, mode: mode} }

// layer packs entries, which come with the directories that they are in, in the order
// of their paths: the same entries are the same bytes.
func layer(entries ...entry) (node.Layer, error) {
	slices.SortFunc(entries, func(a, b entry) int {
		// What has another name comes before that name.
		return cmp.Or(strings.Compare(a.same, b.same), strings.Compare(a.path, b.path))
	})
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.path, Mode: e.mode, Size: int64(len(e.content)), Typeflag: tar.TypeReg}
		switch {
		case e.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		case e.same != "":
			h.Typeflag, h.Linkname = tar.TypeLink, e.same
		case strings.HasSuffix(e.path, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return node.Layer{}, err
		}
		if _, err := w.Write(e.content); err != nil {
			return node.Layer{}, err
		}
	}
	if err := w.Close(); err != nil {
		return node.Layer{}, err
	}
	return node.Layer{MediaType: ocispec.MediaTypeImageLayer, Content: b.Bytes()}, nil
}

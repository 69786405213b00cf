package host

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"blazar/engines"
	"blazar/internal/mnt"
	ociwasm "blazar/oci-wasm"
	"blazar/wasmsandboxer/artifact"
	"blazar/wasmsandboxer/hostapi"
	"blazar/wasmsandboxer/podspec"
)

// wanted is what a module is looked for with.
type wanted struct {
	command, cwd string
	env          []string
	exec         bool // in a container that runs
}

// module is what findModule found.
type module struct {
	hostapi.Module
	knownModule
	// cached says that it had been compiled before, firstTier that this is baseline
	// code, and why.
	cached    bool
	firstTier string
}

// search is where a module is to be found, and who shall run it.
type search struct {
	wanted
	src    ociwasm.Source
	choice podspec.Choice
	engine engines.Engine
}

// search reads what the command names in an image.
func (s *Service) search(ctx context.Context, rec *Container, image *ociwasm.Image, w wanted) (*search, error) {
	choice, engine, err := s.engine(ctx, rec)
	if err != nil {
		return nil, err
	}
	src, err := ociwasm.Locate(image, w.command)
	if err != nil {
		return nil, err
	}
	return &search{w, src, choice, engine}, nil
}

// key is what can make a difference to what is found in the same files.
func (q *search) key() moduleKey {
	i := q.engine.Info()
	words := append([]string{i.Name, i.Version}, q.src.Candidates(q.cwd, q.env)...)
	if q.src.Layer != nil {
		words = append(words, string(q.src.Layer.Digest))
	}
	return sha256.Sum256([]byte(strings.Join(words, "\x00")))
}

// module is what was found, mounted at path.
func (q *search) module(made *compiledModule, k knownModule, path string) *module {
	return &module{
		knownModule: k, cached: made.Hit, firstTier: made.firstTier,
		Module: hostapi.Module{
			Engine: made.by.Name, Artifact: path, Entry: cmp.Or(q.src.Export, engines.DefaultEntry),
			Name: k.name, Digest: k.digest.String(), Reason: q.choice.Reason, Version: made.by.Version,
		},
	}
}

// findModule finds the module in the files, compiles it unless that was done before,
// and makes the artifact appear in the pod.
func (s *Service) findModule(ctx context.Context, rec *Container, files *files, q *search) (*module, error) {
	m, err := s.openModule(ctx, rec, files, q.src, q.cwd, q.env, artifact.Abilities(q.engine.Info()))
	if err != nil {
		return nil, err
	}
	made, err := s.compiled(ctx, s.choices(rec), q.engine, m, q.exec)
	if err != nil {
		return nil, err
	}
	path, err := s.mountArtifact(made.Artifact)
	if err != nil {
		return nil, err
	}
	return q.module(made, knownModule{m.name, m.digest}, path), nil
}

// found is a module's bytes before they are compiled.
type found struct {
	name   string
	digest digest.Digest
	size   int64 // as it is stored, which may be compressed
	open   func(context.Context) (io.ReadCloser, error)
	close  func()
}

// openModule opens the module and checks that the engine can run it.
func (s *Service) openModule(ctx context.Context, rec *Container, files *files, src ociwasm.Source, cwd string, env []string, a ociwasm.Abilities) (*found, error) {
	if src.Layer != nil {
		p := s.node.Containers.Content(s.pod.Namespace)
		if err := ociwasm.CheckLayer(ctx, p, *src.Layer, a); err != nil {
			return nil, err
		}
		layer := *src.Layer
		return &found{
			name: "layer " + shortDigest(layer.Digest), digest: layer.Digest, size: layer.Size, close: func() {},
			open: func(ctx context.Context) (io.ReadCloser, error) { return ociwasm.OpenModule(ctx, p, layer) },
		}, nil
	}
	var tried []string
	for _, path := range src.Candidates(cwd, env) {
		f, err := openRegular(files.root, path)
		if errors.Is(err, errdefs.ErrNotFound) {
			tried = append(tried, path)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("module %s: %w", path, err)
		}
		return s.checkFile(ctx, f, path, files.layers, a)
	}
	return nil, fmt.Errorf("no module %q in the image (tried %s): name it with the command, as in /app.wasm or /app.wasm#export: %w",
		clip(src.Path), strings.Join(tried, ", "), errdefs.ErrNotFound)
}

func (s *Service) checkFile(ctx context.Context, f *os.File, path, layers string, a ociwasm.Abilities) (_ *found, err error) {
	defer func() {
		if err != nil {
			_ = f.Close() // only read
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	select { // reading and hashing takes the daemon's time: one of a pod at a time
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting to read %s: %w", path, context.Cause(ctx))
	}
	if err := ociwasm.CheckModule(path, f, st.Size(), a); err != nil {
		return nil, err
	}
	d, err := s.node.digests.Of(ctx, layers, path, f)
	if err != nil {
		return nil, err
	}
	return &found{
		name: path, digest: d, size: st.Size(), close: func() { _ = f.Close() },
		open: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(f, 0, ociwasm.MaxModuleSize+1)), nil
		},
	}, nil
}

// openRegular opens a file inside root for reading. Nothing else is ever opened,
// so that a FIFO or device of the image neither blocks nor reacts.
func openRegular(root *os.File, path string) (*os.File, error) {
	f, err := mnt.OpenIn(root, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("it is no file but %s: %w", st.Mode().Type(), errdefs.ErrInvalidArgument)
		if st.IsDir() {
			err = fmt.Errorf("it is a directory: %w", errdefs.ErrNotFound)
		}
	}
	if err != nil {
		_ = f.Close() // only read
		return nil, err
	}
	return f, nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// image is what the container's image was found to be; one without a module layer
// when containerd does not know the image any more.
func (s *Service) image(ctx context.Context, rec *Container) (*ociwasm.Image, error) {
	name := rec.Image
	if name == "" {
		name = rec.Spec.Annotations[annotationImageName]
	}
	if name == "" {
		return &ociwasm.Image{}, nil
	}
	if image := s.node.images.known(s.pod.Namespace, rec.ImageDigest); image != nil {
		return image, nil
	}
	d, err := s.node.Containers.Image(ctx, s.pod.Namespace, name)
	if errors.Is(err, errdefs.ErrNotFound) {
		return &ociwasm.Image{}, nil
	}
	if err != nil {
		return nil, err
	}
	return s.node.images.get(ctx, s.node.Containers.Content(s.pod.Namespace), s.pod.Namespace, d)
}

// imageMemo remembers what images are: their digest says it for ever. The zero
// value is ready.
type imageMemo struct {
	mu sync.Mutex // guards m
	m  map[string]*ociwasm.Image
}

// maxImages and maxImage, in bytes as JSON, bound the memo: labels and annotations
// may have megabytes.
const (
	maxImages = 256
	maxImage  = 32 << 10
)

// known is what was found out before, nil if nothing was.
func (i *imageMemo) known(namespace string, d digest.Digest) *ociwasm.Image {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.m[namespace+"@"+d.String()]
}

func (i *imageMemo) get(ctx context.Context, p content.Provider, namespace string, d ocispec.Descriptor) (*ociwasm.Image, error) {
	key := namespace + "@" + d.Digest.String()
	if image := i.known(namespace, d.Digest); image != nil {
		return image, nil
	}
	image, err := ociwasm.Inspect(ctx, p, d)
	if err != nil {
		return nil, err
	}
	if b, err := json.Marshal(image); err != nil || len(b) > maxImage {
		return image, nil // what cannot be measured is not kept
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.m == nil || len(i.m) >= maxImages {
		i.m = map[string]*ociwasm.Image{}
	}
	i.m[key] = image
	return image, nil
}

func shortDigest(d digest.Digest) string {
	if s := d.Encoded(); len(s) > 12 {
		return s[:12]
	}
	return d.String()
}

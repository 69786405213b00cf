package podfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
)

// Notes is the directory of the notes within a pod's.
const Notes = "containers"

// Container is a note: what the daemon needs to end a container whose task server is
// gone. The task server writes it before it makes the container and removes it when
// nothing of the container is left.
type Container struct {
	ID string `json:"id"`
	// CgroupsPath is that of the specification that runc was given: a path, or
	// slice:prefix:name.
	CgroupsPath string `json:"cgroups_path"`
}

// Note writes the note of a container into its pod's directory.
func Note(dir string, c Container) error {
	path, err := notePath(dir, c.ID)
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return write(path, c)
}

// Forget removes the note of a container; one that is not there is no error.
func Forget(dir, containerID string) error {
	path, err := notePath(dir, containerID)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Containers reads the notes in a pod's directory. Those that can be read are
// returned along with the error about the others.
func Containers(dir string) ([]Container, error) {
	dir = filepath.Join(dir, Notes)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []Container
	var errs []error
	for _, e := range entries {
		if filepath.Ext(e.Name()) != noteSuffix {
			continue // one that is just being written
		}
		var c Container
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // gone meanwhile
		}
		if err == nil {
			err = json.Unmarshal(b, &c)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("note of container %s: %w", e.Name(), err))
			continue
		}
		out = append(out, c)
	}
	return out, errors.Join(errs...)
}

// noteSuffix keeps the names of notes apart from what is being written.
const noteSuffix = ".json"

func notePath(dir, containerID string) (string, error) {
	if err := identifiers.Validate(containerID); err != nil {
		return "", fmt.Errorf("container id: %w: %w", err, errdefs.ErrInvalidArgument)
	}
	return filepath.Join(dir, Notes, containerID+noteSuffix), nil
}

// Noted says whether there is a note of a container.
func Noted(dir, containerID string) bool {
	path, err := notePath(dir, containerID)
	if err != nil {
		return false
	}
	_, err = os.Stat(path)
	return err == nil
}

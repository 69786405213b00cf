package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// taskdLink is the link in the bundle of a container of `blazar taskd` to what that
	// has recorded (package runctask).
	taskdLink = "taskd"
	// endTimeout bounds the end of a container; containerd waits for half a minute
	// (core/runtime/v2/shim_manager.go, cleanupAfterDeadShim: 5 seconds are given to
	// those it finds at its start).
	endTimeout = 4 * time.Second
)

// container is what there is to know of a Linux container.
type container struct {
	id, podDir, binary, root, cgroupDir string
	systemd                             bool
	pid                                 int
	startTime                           uint64
	exit                                *exit
}

// exit is how a container ended.
type exit struct {
	status uint64
	at     time.Time
}

// endName is the file in a record's directory that package runctask writes for this
// program: lines of a key and a value, strings quoted as in Go.
const endName = "end"

// parseEnd reads the file.
func parseEnd(b string) (*container, error) {
	c := &container{}
	texts := map[string]*string{"id": &c.id, "pod_dir": &c.podDir, "binary": &c.binary, "root": &c.root, "cgroup_dir": &c.cgroupDir}
	for line := range strings.Lines(b) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		var err error
		switch text := texts[key]; {
		case text != nil:
			*text, err = strconv.Unquote(value)
		case key == "systemd":
			c.systemd, err = strconv.ParseBool(value)
		case key == "init":
			_, err = fmt.Sscan(value, &c.pid, &c.startTime)
		case key == "exit":
			var at int64
			c.exit = &exit{}
			_, err = fmt.Sscan(value, &c.exit.status, &at)
			c.exit.at = time.Unix(0, at)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return c, nil
}

// endContainer ends the Linux container of a bundle and removes what it has, if
// containerd has given it up: it does not come back to a task server that went away.
// Otherwise the link has gone with the container, and there is nothing to do. Every
// step may have been done before, by a new task server perhaps.
func endContainer(id, bundle string) (*exit, error) {
	dir, err := os.Readlink(filepath.Join(bundle, taskdLink))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(dir) || filepath.Base(dir) != id {
		return nil, fmt.Errorf("the link %s in bundle %s leads to %q, which is no record of the container", taskdLink, bundle, dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, endName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // just removed
	}
	if err != nil {
		return nil, err
	}
	c, err := parseEnd(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", endName, dir, err)
	}
	if c.id != id || !filepath.IsAbs(c.cgroupDir) || !filepath.IsAbs(c.root) || !filepath.IsAbs(c.binary) {
		return nil, fmt.Errorf("%s of %s is not that of container %s", endName, dir, id)
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if err := c.kill(ctx); err != nil {
		return c.exit, err
	}
	if err := c.forget(ctx); err != nil {
		return c.exit, err
	}
	if c.podDir != "" {
		note := filepath.Join(c.podDir, "containers", id+".json") // package podfile
		if err := os.Remove(note); err != nil && !errors.Is(err, os.ErrNotExist) {
			return c.exit, err
		}
	}
	return c.exit, nil
}

// forget has the OCI runtime forget the container, or does it in its place.
func (c *container) forget(ctx context.Context) error {
	state := filepath.Join(c.root, c.id)
	if _, err := os.Lstat(state); err == nil {
		args := []string{"--root", c.root}
		if c.systemd {
			args = append(args, "--systemd-cgroup")
		}
		wait, err := spawn(ctx, c.binary, nil, append(args, "delete", c.id)...)
		if err == nil {
			err = wait()
		}
		if err != nil {
			err = os.RemoveAll(state) // its processes have ended
		}
		if err != nil {
			return err
		}
	}
	return c.removeCgroups()
}

// removeRecord is the last step: as long as there is a record, taskd goes on.
func removeRecord(id, bundle string) error {
	dir, err := os.Readlink(filepath.Join(bundle, taskdLink))
	if err != nil || !filepath.IsAbs(dir) || filepath.Base(dir) != id {
		return nil // endContainer has said what there is to say
	}
	return os.RemoveAll(dir)
}

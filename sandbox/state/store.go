package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/pkg/identifiers"
	"github.com/containerd/errdefs"
	"github.com/containerd/log"
	"golang.org/x/sys/unix"
)

const (
	// recordName is the one name in a sandbox's directory that is not the kind's.
	recordName = "sandbox.json"
	tempName   = ".sandbox.json.new"
	// corruptName is no valid id, so no sandbox can have it.
	corruptName = ".corrupt"
	// maxRecord bounds what is read of a record: a request has at most 4 MiB.
	maxRecord = 16 << 20
)

// Store is the records below one directory. Safe for concurrent use, but one
// sandbox's methods must be called one at a time.
type Store struct {
	root string
	// volatile is a root on a file system that is gone when the machine is: there is
	// nothing to sync.
	volatile bool
}

// Open opens the store in the directory root, which is made (0700) if need be.
func Open(root string) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := os.Chmod(root, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		return nil, fmt.Errorf("state directory: %w", &os.PathError{Op: "statfs", Path: root, Err: err})
	}
	return &Store{root: root, volatile: fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC}, nil
}

// Root is the store's directory.
func (s *Store) Root() string { return s.root }

// Dir is the directory of a sandbox.
func (s *Store) Dir(id string) string { return filepath.Join(s.root, id) }

// Create makes the directory of a new sandbox; errdefs.ErrAlreadyExists if there is
// one, errdefs.ErrInvalidArgument if the id is unfit for a file name.
func (s *Store) Create(id string) error {
	if err := identifiers.Validate(id); err != nil {
		return err
	}
	err := os.Mkdir(s.Dir(id), 0o700)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("state of sandbox %q in %s: %w", id, s.root, errdefs.ErrAlreadyExists)
	}
	return err
}

// Put replaces a sandbox's record, wholly or not at all.
func (s *Store) Put(r *Record) error {
	data, err := r.encode()
	if err != nil {
		return err
	}
	if err := s.replace(s.Dir(r.ID), data); err != nil {
		return fmt.Errorf("record of sandbox %q: %w", r.ID, err)
	}
	return nil
}

func (s *Store) replace(dir string, data []byte) (err error) {
	temp := filepath.Join(dir, tempName)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && !s.volatile {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = unix.Rename(temp, filepath.Join(dir, recordName)) // os.Rename looks at the target first
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	if s.volatile {
		return nil
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove removes the directory of a sandbox and all in it. It does not reach into
// anything mounted there: that is an error.
func (s *Store) Remove(id string) error {
	if err := identifiers.Validate(id); err != nil {
		return err
	}
	// The record goes first: a directory without one is finished off by Load.
	if err := os.Remove(filepath.Join(s.Dir(id), recordName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := removeTree(s.root, id); err != nil {
		return fmt.Errorf("state of sandbox %q: %w", id, err)
	}
	return nil
}

// Load reads all records. One that cannot be used is set aside with a warning.
func (s *Store) Load(ctx context.Context) ([]*Record, error) {
	entries, err := os.ReadDir(s.root)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	var records []*Record
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		ctx := log.WithLogger(ctx, log.G(ctx).WithField("sandbox_id", e.Name()))
		r, err := s.read(e.Name())
		switch {
		case err == nil:
			records = append(records, r)
		case errors.Is(err, os.ErrNotExist):
			// Written first and removed first: nothing of the sandbox exists any more.
			if err := removeTree(s.root, e.Name()); err != nil {
				log.G(ctx).WithError(err).Warn("cannot remove what is left of a sandbox without a record")
			}
		default:
			s.setAside(ctx, e.Name(), err)
		}
	}
	return records, nil
}

func (s *Store) read(id string) (*Record, error) {
	f, err := os.Open(filepath.Join(s.Dir(id), recordName))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRecord+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(data) > maxRecord {
		return nil, fmt.Errorf("record is larger than %d bytes: %w", maxRecord, errdefs.ErrDataLoss)
	}
	r, err := decode(data)
	if err != nil {
		return nil, err
	}
	if r.ID != id {
		return nil, fmt.Errorf("directory %q holds the record of %q: %w", id, r.ID, errdefs.ErrDataLoss)
	}
	return r, nil
}

// setAside moves a sandbox's directory away, so that a person can look at it and
// the id can be used again.
func (s *Store) setAside(ctx context.Context, id string, cause error) {
	corrupt := filepath.Join(s.root, corruptName)
	to := filepath.Join(corrupt, id+"-"+strconv.FormatInt(time.Now().UnixNano(), 36))
	err := os.MkdirAll(corrupt, 0o700)
	if err == nil {
		err = os.Rename(s.Dir(id), to)
	}
	if err != nil {
		log.G(ctx).WithError(err).Warnf("cannot set the state of the sandbox aside, it is ignored: %v", cause)
		return
	}
	log.G(ctx).WithError(cause).Warnf("the state of the sandbox cannot be used; look at it in %s, end what is left of the pod, then remove it", to)
}

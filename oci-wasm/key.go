package ociwasm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// Key names a compiled module: everything that makes artifacts differ.
type Key struct {
	// Digest is the module's, of its plain bytes.
	Digest digest.Digest
	// Engine, Version and Settings are the engine's own (engines.Info).
	Engine, Version, Settings string
	// CPU is the machine the artifact was made for; HostCPU of this one.
	CPU string
}

// name is the artifact's directory: a hash, so that no field can be a path.
func (k Key) name() (string, error) {
	if err := k.Digest.Validate(); err != nil {
		return "", fmt.Errorf("module digest %q: %w: %w", k.Digest, err, errdefs.ErrInvalidArgument)
	}
	if k.Engine == "" {
		return "", fmt.Errorf("a compile key needs an engine: %w", errdefs.ErrInvalidArgument)
	}
	h := sha256.New()
	for _, f := range []string{"blazar artifact 1", k.Digest.String(), k.Engine, k.Version, k.Settings, k.CPU} {
		_, _ = fmt.Fprintf(h, "%d:", len(f)) // a hash never fails
		_, _ = io.WriteString(h, f)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

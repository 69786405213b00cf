package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// optionsURL is the message in which the CRI plugin passes the `options` table of a
	// handler whose runtime_type it does not know: as TOML, field 3
	// (containerd/api/types/runtimeoptions/v1/api.proto).
	optionsURL  = "runtimeoptions.v1.Options"
	optionsBody = 3
	// binaryKey is the key of the OCI runtime in that table, as for containerd's own
	// runc runtime. Handlers of Linux containers have it, those of wasm pods do not.
	binaryKey = "BinaryName"
	// runcURL is the message in which the table comes when the handler's runtime_type is
	// io.containerd.runc.v2 and its runtime_path this program; binary_name is field 6
	// (containerd/api/types/runc/options/oci.proto).
	runcURL    = "containerd.runc.v1.Options"
	runcBinary = 6

	featuresTimeout = 5 * time.Second
	maxFeatures     = 1 << 20
)

// runtimeFeatures is what the runtime can do: an OCI runtime says it itself.
func runtimeFeatures(options []byte) string {
	binary := ""
	switch url := string(field(options, anyTypeURL)); {
	case strings.HasSuffix(url, optionsURL):
		binary = tomlString(string(field(options, anyValue, optionsBody)), binaryKey)
	case strings.HasSuffix(url, runcURL):
		binary = string(field(options, anyValue, runcBinary))
	}
	if binary == "" {
		return featuresJSON
	}
	if out, err := runFeatures(binary); err == nil {
		return out
	}
	return featuresJSON // a runtime that cannot say: crun before 1.8.6
}

// runFeatures calls the OCI runtime.
func runFeatures(binary string) (string, error) {
	path, err := lookPath(binary)
	if err != nil {
		return "", err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }() // only read from
	ctx, cancel := context.WithTimeout(context.Background(), featuresTimeout)
	defer cancel()
	wait, err := spawn(ctx, path, w, "features")
	err = errors.Join(err, w.Close())
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(io.LimitReader(r, maxFeatures))
	return string(bytes.TrimSpace(out)), errors.Join(err, wait())
}

// field finds a field of length-delimited type in a message, along the path of numbers
// from the outside in; empty if there is none.
func field(b []byte, path ...protowire.Number) []byte {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil
		}
		b = b[n:]
		if number == path[0] && kind == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 || len(path) == 1 {
				return v
			}
			return field(v, path[1:]...)
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return nil
		}
		b = b[n:]
	}
	return nil
}

// tomlString finds a key whose value is a plain string: containerd writes the table
// anew, one key per line, so nothing else of TOML occurs.
func tomlString(table, key string) string {
	for line := range strings.Lines(table) {
		k, v, ok := strings.Cut(line, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(k), key) {
			continue
		}
		v = strings.TrimSpace(v)
		if len(v) < 2 || v[0] != v[len(v)-1] || v[0] != '\'' && v[0] != '"' {
			return ""
		}
		return v[1 : len(v)-1]
	}
	return ""
}

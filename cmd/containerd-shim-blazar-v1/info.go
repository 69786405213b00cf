package main

import (
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"blazar/internal/version"
)

// runtimeName is the runtime_type of containerd's configuration.
const runtimeName = "io.containerd.blazar.v1"

// Field numbers of containerd.types.RuntimeInfo and RuntimeVersion
// (containerd/api/types/introspection.proto) and of google.protobuf.Any.
const (
	infoName     = 1
	infoVersion  = 2
	infoOptions  = 3
	infoFeatures = 4

	versionVersion  = 1
	versionRevision = 2

	anyTypeURL = 1
	anyValue   = 2
)

// featuresURL is the type URL under which containerd registers the features
// document of the OCI runtime specification (core/runtime/typeurl.go).
const featuresURL = "types.containerd.io/opencontainers/runtime-spec/1/features/Features"

// featuresJSON lists those that every kind of pod has. User namespaces and idmapped
// volumes are left out on purpose: CRI then refuses a pod that asks for them
// instead of starting it without.
const featuresJSON = `{"ociVersionMin":"1.0.0","ociVersionMax":"1.3.0","hooks":[],` +
	`"mountOptions":["bind","rbind","ro","rw","nodev","noexec","nosuid","private","rprivate","slave","rslave"],` +
	`"linux":{"namespaces":["ipc","mount","network","pid","uts"],` +
	`"cgroup":{"v1":true,"v2":true,"systemd":true},` +
	`"mountExtensions":{"idmap":{"enabled":false}}}}`

// maxOptions bounds what is read from stdin, in bytes.
const maxOptions = 1 << 20

// info answers -info: a RuntimeInfo that returns the options it was given.
func info(stdin io.Reader) ([]byte, error) {
	options, err := io.ReadAll(io.LimitReader(stdin, maxOptions+1))
	if err != nil {
		return nil, fmt.Errorf("read options from stdin: %w", err)
	}
	if len(options) > maxOptions {
		return nil, fmt.Errorf("options on stdin are larger than %d bytes", maxOptions)
	}
	if err := checkMessage(options); err != nil {
		return nil, fmt.Errorf("options on stdin are no google.protobuf.Any: %w", err)
	}

	var v []byte
	v = appendString(v, versionVersion, version.Get())
	v = appendString(v, versionRevision, version.Revision())
	var f []byte
	f = appendString(f, anyTypeURL, featuresURL)
	f = appendString(f, anyValue, runtimeFeatures(options))

	var b []byte
	b = appendString(b, infoName, runtimeName)
	b = appendBytes(b, infoVersion, v)
	if len(options) > 0 {
		b = appendBytes(b, infoOptions, options)
	}
	return appendBytes(b, infoFeatures, f), nil
}

// checkMessage says whether b has the outer form of a message, so that what is
// passed on can be decoded by whoever reads it.
func checkMessage(b []byte) error {
	for len(b) > 0 {
		_, _, n := protowire.ConsumeField(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	return nil
}

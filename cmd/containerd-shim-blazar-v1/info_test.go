package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/containerd/api/types"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/api/types/runtimeoptions/v1"
	_ "github.com/containerd/containerd/v2/core/runtime" // registers the type URLs
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go/features"
	"google.golang.org/protobuf/proto"
)

// askInfo calls -info the way containerd does and decodes the answer with its types.
func askInfo(t *testing.T, stdin []byte) *types.RuntimeInfo {
	t.Helper()
	stdout, stderr, err := call(t, t.TempDir(), stdin, "-info")
	if err != nil {
		t.Fatalf("-info: %v\n%s", err, stderr)
	}
	var info types.RuntimeInfo
	if err := proto.Unmarshal(stdout, &info); err != nil {
		t.Fatalf("decode answer: %v", err)
	}
	return &info
}

func TestInfo(t *testing.T) {
	info := askInfo(t, nil)
	if info.Name != "io.containerd.blazar.v1" || info.Version.GetVersion() == "" {
		t.Errorf("name %q, version %q", info.Name, info.Version.GetVersion())
	}
	if info.Options != nil {
		t.Errorf("options out of nothing: %v", info.Options)
	}
	v, err := typeurl.UnmarshalAny(info.Features)
	if err != nil {
		t.Fatalf("features: %v", err)
	}
	f, ok := v.(*features.Features)
	if !ok {
		t.Fatalf("features are a %T", v)
	}
	if f.OCIVersionMax == "" || !slices.Contains(f.MountOptions, "ro") {
		t.Errorf("features: %+v", f)
	}
	// Both together would make CRI offer user namespaces.
	if slices.Contains(f.Linux.Namespaces, "user") || f.Linux.MountExtensions.IDMap.Enabled == nil || *f.Linux.MountExtensions.IDMap.Enabled {
		t.Errorf("claims user namespaces or idmapped volumes: %+v", f.Linux)
	}
}

// The OCI runtime of a handler says what it can do, whichever message its options are in.
func TestInfoAsksRuntime(t *testing.T) {
	program := filepath.Join(t.TempDir(), "runtime")
	script := "#!/bin/sh\n[ $1 = features ] && echo '{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"9.9.9\",\"mountOptions\":[\"rro\"]}'\n"
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		options any
		asked   bool
	}{
		{&runcoptions.Options{BinaryName: program, SystemdCgroup: true}, true},
		{&runtimeoptions.Options{ConfigBody: []byte("BinaryName = '" + program + "'\n")}, true},
		{&runcoptions.Options{SystemdCgroup: true}, false},
		{&runcoptions.Options{BinaryName: program + "-not"}, false},
	} {
		any, err := typeurl.MarshalAnyToProto(c.options)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := proto.Marshal(any)
		if err != nil {
			t.Fatal(err)
		}
		v, err := typeurl.UnmarshalAny(askInfo(t, raw).Features)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := v.(*features.Features); !ok || (f.OCIVersionMax == "9.9.9") != c.asked {
			t.Errorf("%v: %+v", c.options, v)
		}
	}
}

func TestInfoReturnsOptions(t *testing.T) {
	want, err := typeurl.MarshalAnyToProto(&runcoptions.Options{BinaryName: "/usr/bin/thing"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := proto.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got := askInfo(t, raw).Options; !proto.Equal(got, want) {
		t.Errorf("options %v, want %v", got, want)
	}
}

func TestInfoRefusesNonsense(t *testing.T) {
	for name, stdin := range map[string][]byte{
		"truncated": {0x0a, 0x7f, 'x'},
		"too large": make([]byte, maxOptions+1),
	} {
		if stdout, _, err := call(t, t.TempDir(), stdin, "-info"); err == nil {
			t.Errorf("%s: answered %q", name, stdout)
		}
	}
}

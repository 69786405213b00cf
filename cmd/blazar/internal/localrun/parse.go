package localrun

import (
	"fmt"
	"math"
	"net"
	"path"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// Dir is a directory of the host that the guest gets.
type Dir struct {
	Host, Guest string
	ReadOnly    bool
}

// ParseDir reads HOST:GUEST[:ro]. The guest's path is absolute; the host's may
// contain colons only if they cannot be mistaken.
func ParseDir(s string) (Dir, error) {
	wrong := func(problem string) (Dir, error) {
		return Dir{}, fmt.Errorf("--dir %s: %s; write it as HOST:GUEST or HOST:GUEST:ro, as in --dir ./data:/data:ro: %w",
			s, problem, errdefs.ErrInvalidArgument)
	}
	var d Dir
	rest := s
	if r, ok := strings.CutSuffix(rest, ":ro"); ok {
		rest, d.ReadOnly = r, true
	} else if r, ok := strings.CutSuffix(rest, ":rw"); ok {
		rest = r
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return wrong("the guest's path is missing")
	}
	d.Host, d.Guest = rest[:i], rest[i+1:]
	switch {
	case d.Host == "":
		return wrong("the host's path is missing")
	case !path.IsAbs(d.Guest):
		return wrong(fmt.Sprintf("the guest's path %q is not absolute", d.Guest))
	case strings.ContainsRune(s, 0):
		return wrong("a path contains a zero byte")
	}
	d.Guest = path.Clean(d.Guest)
	return d, nil
}

// Address is where a listener of the guest listens.
type Address struct {
	Network, Address string
}

// ParseListen reads tcp:PORT or tcp:ADDRESS:PORT.
func ParseListen(s string) (Address, error) {
	wrong := func(problem string) (Address, error) {
		return Address{}, fmt.Errorf("--listen %s: %s; write it as tcp:PORT or tcp:ADDRESS:PORT, as in --listen tcp:127.0.0.1:8080: %w",
			s, problem, errdefs.ErrInvalidArgument)
	}
	network, address, ok := strings.Cut(s, ":")
	if !ok || network != "tcp" {
		return wrong("a guest can listen on tcp only")
	}
	if !strings.Contains(address, ":") {
		address = ":" + address
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return wrong("this is no address")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return wrong(fmt.Sprintf("%q is no port number", port))
	}
	if host != "" && net.ParseIP(host) == nil {
		return wrong(fmt.Sprintf("%q is no IP address", host))
	}
	return Address{network, address}, nil
}

// units of sizes, as Kubernetes and as people write them.
var units = []struct {
	suffix string
	factor uint64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"B", 1}, {"", 1},
}

// ParseMemory reads a positive number of bytes with an optional unit.
func ParseMemory(s string) (uint64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 64)
		if err != nil || n == 0 || n > math.MaxInt64/u.factor {
			break
		}
		return n * u.factor, nil
	}
	return 0, fmt.Errorf("--memory %s: this is no amount of memory; write it as 64MiB, 64Mi or a number of bytes: %w", s, errdefs.ErrInvalidArgument)
}

// ParseEnv checks NAME=value.
func ParseEnv(s string) (string, error) {
	name, _, ok := strings.Cut(s, "=")
	if !ok || name == "" || strings.ContainsRune(s, 0) {
		return "", fmt.Errorf("--env %s: write it as NAME=value: %w", s, errdefs.ErrInvalidArgument)
	}
	return s, nil
}

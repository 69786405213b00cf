package podspec

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
)

// MaxListeners is how many listeners one container may have.
const MaxListeners = 16

// Listener is a socket that the daemon opens for a container in its pod's network.
type Listener struct {
	// Network is "tcp".
	Network string
	// Address is host:port; an empty host means every address of the pod.
	Address string
}

// Listeners reads blazar/listen: "tcp:PORT" or "tcp:ADDRESS:PORT", several of them
// separated by commas. Addresses are literal: nothing is resolved.
func (c *Container) Listeners() ([]Listener, error) {
	v, source, ok := c.lookup(AnnotationListen)
	if !ok || v == "" {
		return nil, nil
	}
	items := strings.Split(v, ",")
	if len(items) > MaxListeners {
		return nil, fmt.Errorf("%s: %d listeners, at most %d are possible: %w", source, len(items), MaxListeners, errdefs.ErrInvalidArgument)
	}
	var all []Listener
	seen := map[Listener]bool{}
	for _, item := range items {
		l, err := parseListener(strings.TrimSpace(item))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		if seen[l] {
			return nil, fmt.Errorf("%s: %q appears twice: %w", source, clip(item), errdefs.ErrInvalidArgument)
		}
		seen[l] = true
		all = append(all, l)
	}
	return all, nil
}

func parseListener(s string) (Listener, error) {
	bad := func(why string) (Listener, error) {
		return Listener{}, fmt.Errorf("listener %q: %s; write tcp:PORT or tcp:ADDRESS:PORT: %w", clip(s), why, errdefs.ErrInvalidArgument)
	}
	network, rest, ok := strings.Cut(s, ":")
	if !ok || network != "tcp" {
		return bad("only tcp is possible")
	}
	host, port := "", rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host, port = rest[:i], rest[i+1:]
		if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
			host = host[1 : len(host)-1]
		}
		a, err := netip.ParseAddr(host)
		if err != nil || a.Zone() != "" {
			return bad("not an address")
		}
		host = a.String()
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '+' {
		return bad("not a port")
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return Listener{Network: "tcp", Address: host + ":" + strconv.FormatUint(n, 10)}, nil
}

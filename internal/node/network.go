package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// network is the bridge of a node and the subnet of its pods. The node makes the
// bridge itself and gives it the gateway's address, so that no plugin switches IP
// forwarding on for the whole machine: pods reach the host and one another, and
// nothing else.
type network struct {
	Bridge string
	Subnet netip.Prefix
}

// chooseNetwork picks a /24 of 10.64.0.0/10 that no interface and no route uses.
// Two nodes that start in the same instant meet with a probability of 1/16384.
func chooseNetwork(name string) (network, error) {
	used, err := usedSubnets()
	if err != nil {
		return network{}, err
	}
	for range 100 {
		r := rand.IntN(1 << 14)
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(64 + r>>8), byte(r), 0}), 24)
		free := true
		for _, u := range used {
			free = free && !u.Overlaps(subnet)
		}
		if free {
			return network{Bridge: name, Subnet: subnet}, nil
		}
	}
	return network{}, errors.New("no free subnet below 10.64.0.0/10")
}

func usedSubnets() ([]netip.Prefix, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var used []netip.Prefix
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		p, err := netip.ParsePrefix(r.Dst.String())
		if err == nil && p.Bits() > 0 {
			used = append(used, p)
		}
	}
	return used, nil
}

// Gateway is the host's address on the bridge.
func (w network) Gateway() netip.Addr { return w.Subnet.Addr().Next() }

func (w network) create() error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = w.Bridge
	// Without an address of its own a bridge takes the lowest of its ports', so that it
	// changes as pods come and go, and what other pods send to the old one is lost.
	gateway := w.Gateway().As4()
	attrs.HardwareAddr = append(net.HardwareAddr{0x02, 0x00}, gateway[:]...)
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make bridge %s: %w", w.Bridge, err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{
		IP:   w.Gateway().AsSlice(),
		Mask: net.CIDRMask(w.Subnet.Bits(), 32),
	}}
	if err := netlink.AddrAdd(bridge, addr); err != nil {
		return fmt.Errorf("give bridge %s its address: %w", w.Bridge, err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("set bridge %s up: %w", w.Bridge, err)
	}
	return nil
}

// remove removes the bridge and what CNI left outside the node's folder. It
// succeeds when there is nothing.
func (w network) remove() error {
	if w.Bridge == "" {
		return nil
	}
	var errs []error
	ports, err := w.ports()
	errs = append(errs, err)
	for _, port := range ports {
		// Its other end may just have gone with the network namespace.
		if err := netlink.LinkDel(port); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("delete interface %s: %w", port.Attrs().Name, err))
		}
	}
	link, err := netlink.LinkByName(w.Bridge)
	if err == nil {
		errs = append(errs, netlink.LinkDel(link))
	} else if !isNoLink(err) {
		errs = append(errs, err)
	}
	results, err := w.results()
	errs = append(errs, err)
	for _, path := range results {
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

// ports are the host's ends of the pods' interfaces.
func (w network) ports() ([]netlink.Link, error) {
	bridge, err := netlink.LinkByName(w.Bridge)
	if isNoLink(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	var ports []netlink.Link
	for _, l := range links {
		if l.Attrs().MasterIndex == bridge.Attrs().Index {
			ports = append(ports, l)
		}
	}
	return ports, nil
}

// results are the files in which libcni caches the results of this network; their
// folder is fixed in containerd.
func (w network) results() ([]string, error) {
	return filepath.Glob(filepath.Join("/var/lib/cni/results", w.Bridge+"-*"))
}

func isNoLink(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing)
}

// writeCNI writes the configuration list that containerd reads in dir; addresses
// are kept in data. With portMap pods may have ports of the host.
func (w network) writeCNI(dir, data string, portMap bool) error {
	plugins := []any{
		map[string]any{
			"type":   "bridge",
			"bridge": w.Bridge,
			"ipam": map[string]any{
				"type":    "host-local",
				"dataDir": data,
				"ranges": [][]map[string]string{{{
					"subnet":  w.Subnet.String(),
					"gateway": w.Gateway().String(),
				}}},
			},
		},
	}
	if portMap {
		plugins = append(plugins, map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}})
	}
	b, err := json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       w.Bridge,
		"plugins":    plugins,
	}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "10-"+w.Bridge+".conflist"), b, 0o600)
}

package node

import (
	"testing"

	"github.com/vishvananda/netlink"

	"blazar/internal/testneeds"
)

// TestBridgeKeepsItsAddress adds a port with a lower hardware address, which a bridge
// without one of its own would take over.
func TestBridgeKeepsItsAddress(t *testing.T) {
	testneeds.Root(t)
	w, err := chooseNetwork("bzmac0")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.remove(); err != nil {
			t.Error(err)
		}
	})
	address := func() string {
		link, err := netlink.LinkByName(w.Bridge)
		if err != nil {
			t.Fatal(err)
		}
		return link.Attrs().HardwareAddr.String()
	}
	before := address()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "bzmac1"
	attrs.HardwareAddr = []byte{0x02, 0, 0, 0, 0, 1}
	port := &netlink.Veth{LinkAttrs: attrs, PeerName: "bzmac2"}
	if err := netlink.LinkAdd(port); err != nil {
		t.Fatal(err)
	}
	bridge, err := netlink.LinkByName(w.Bridge)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetMaster(port, bridge); err != nil {
		t.Fatal(err)
	}
	if after := address(); after != before {
		t.Errorf("the bridge's address changed from %s to %s with its ports", before, after)
	}
}

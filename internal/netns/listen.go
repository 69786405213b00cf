package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

// backlog of a listener; the kernel caps it at the namespace's
// net.core.somaxconn.
const backlog = 4096

// Listen makes a listening (tcp) or bound (udp) socket inside the namespace, nil
// being this process's own. network is tcp, tcp4, tcp6, udp, udp4 or udp6; address
// is "host:port" with a literal address, or an empty host for every address of
// both families. The file is non-blocking and closed on exec.
// errdefs.ErrInvalidArgument for an address that cannot be,
// errdefs.ErrAlreadyExists for one that is in use.
func Listen(ns *os.File, network, address string) (*os.File, error) {
	a, err := parse(network, address)
	if err != nil {
		return nil, err
	}
	var f *os.File
	listen := func() error {
		fd, err := a.socket()
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), network+":"+address)
		return nil
	}
	if ns == nil {
		err = listen()
	} else {
		err = Do(ns, listen)
	}
	if errors.Is(err, unix.EADDRINUSE) {
		err = fmt.Errorf("%w: %w", err, errdefs.ErrAlreadyExists)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s %s: %w", network, address, err)
	}
	return f, nil
}

type address struct {
	kind int // SOCK_STREAM or SOCK_DGRAM
	addr netip.AddrPort
	any  bool // every address of both families
}

func parse(network, s string) (address, error) {
	bad := func(why string) (address, error) {
		return address{}, fmt.Errorf("listen on %s %q: %s: %w", network, s, why, errdefs.ErrInvalidArgument)
	}
	var a address
	family, ok := strings.CutPrefix(network, "tcp")
	a.kind = unix.SOCK_STREAM
	if !ok {
		family, ok = strings.CutPrefix(network, "udp")
		a.kind = unix.SOCK_DGRAM
	}
	if !ok || family != "" && family != "4" && family != "6" {
		return bad("the network must be tcp, tcp4, tcp6, udp, udp4 or udp6")
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return bad("the port is missing")
	}
	port, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil {
		return bad("the port must be a number up to 65535")
	}
	host := strings.TrimSuffix(strings.TrimPrefix(s[:i], "["), "]")
	ip := netip.IPv6Unspecified()
	switch {
	case host != "":
		if ip, err = netip.ParseAddr(host); err != nil || ip.Zone() != "" {
			return bad("the host must be a literal address without a zone")
		}
		ip = ip.Unmap()
		if family == "4" && !ip.Is4() || family == "6" && !ip.Is6() {
			return bad("the address is of the other family")
		}
	case family == "4":
		ip = netip.IPv4Unspecified()
	case family == "":
		a.any = true
	}
	a.addr = netip.AddrPortFrom(ip, uint16(port))
	return a, nil
}

func (a address) socket() (int, error) {
	fd, err := a.bind()
	if a.any && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) { // a host without IPv6
		a.addr = netip.AddrPortFrom(netip.IPv4Unspecified(), a.addr.Port())
		fd, err = a.bind()
	}
	return fd, err
}

func (a address) bind() (fd int, err error) {
	domain, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(a.addr.Port()), Addr: a4(a.addr)})
	if a.addr.Addr().Is6() {
		domain, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.addr.Port()), Addr: a.addr.Addr().As16()}
	}
	fd, err = unix.Socket(domain, a.kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // never used
		}
	}()
	if domain == unix.AF_INET6 {
		only := 1
		if a.any {
			only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return -1, os.NewSyscallError("setsockopt", err)
		}
	}
	if a.kind == unix.SOCK_STREAM {
		// As every server does: connections of an earlier one may still linger.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return -1, os.NewSyscallError("setsockopt", err)
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return -1, os.NewSyscallError("bind", err)
	}
	if a.kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, backlog); err != nil {
			return -1, os.NewSyscallError("listen", err)
		}
	}
	return fd, nil
}

func a4(a netip.AddrPort) [4]byte {
	if a.Addr().Is4() {
		return a.Addr().As4()
	}
	return [4]byte{}
}

package deliver

import (
	"fmt"
	"net/netip"
	"syscall"
)

// special are ranges that are neither public nor known to package netip.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carrier-grade NAT
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"), // benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), // Teredo and other protocols
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("fec0::/10"), // site-local
}

// nat64 addresses have one of IPv4 in their last four bytes.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// control returns a net.Dialer's Control, which sees the address that a name has turned out to be.
func control(publicOnly bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return allow(to.Addr(), publicOnly)
	}
}

// allow says why no connection may be made to an address.
func allow(a netip.Addr, publicOnly bool) error {
	a = a.Unmap().WithZone("")
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case a.IsLinkLocalUnicast():
		return fmt.Errorf("%s is a link-local address: refused", a)
	case a.IsUnspecified():
		return fmt.Errorf("%s is no host's address: refused", a)
	case a.IsMulticast():
		return fmt.Errorf("%s is a multicast address: refused", a)
	case !publicOnly:
		return nil
	}
	private := a.IsLoopback() || a.IsPrivate()
	for _, prefix := range special {
		private = private || prefix.Contains(a)
	}
	if private {
		return fmt.Errorf("%s is not a public address, and only these are allowed (--public-urls-only): refused", a)
	}
	return nil
}

package deliver

import (
	"fmt"
	"net/netip"
	"slices"
	"syscall"
)

// Ranges of the special-purpose address registries of IANA
// (https://www.iana.org/assignments/iana-ipv4-special-registry, iana-ipv6-special-registry) that are not public, beside those that package
// netip knows.
var special = prefixes(
	"0.0.0.0/8",       // this network
	"100.64.0.0/10",   // carrier-grade NAT
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.31.196.0/24", // AS112
	"192.52.193.0/24", // AMT
	"192.88.99.0/24",  // 6to4 relays
	"192.175.48.0/24", // AS112
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"240.0.0.0/4",     // reserved
	"100::/64",        // discarded
	"100:0:0:1::/64",  // dummy
	"2001::/23",       // Teredo and other protocols
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4
	"2620:4f:8000::/48",
	"3fff::/20", // documentation
	"5f00::/16", // segment routing
	"fec0::/10", // site-local
)

// metadata are where clouds tell their machines secrets, outside the link-local ranges.
var metadata = prefixes(
	"fd00:ec2::/32",      // AWS: metadata, DNS, time
	"fd20:ce::254/128",   // Google Cloud
	"100.100.100.200/32", // Alibaba
	"192.0.0.192/32",     // Oracle
	"168.63.129.16/32",   // Azure
	"fd00:42::42/128",    // Scaleway
)

// embedding are ranges of IPv6 whose addresses stand for one of IPv4, and where in the 16 bytes that is. Of 64:ff9b:1::/48 it depends on
// the network, as of Teredo on a server: all of them are refused.
var embedding = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, // NAT64
	{netip.MustParsePrefix("::/96"), 12},        // IPv4-compatible
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2}, // 6to4
}

var translated = prefixes("64:ff9b:1::/48", "2001::/32")

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func in(all []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(a) })
}

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
	inside := a
	for _, e := range embedding {
		if e.prefix.Contains(a) && a != netip.IPv6Loopback() && a != netip.IPv6Unspecified() {
			b := a.As16()
			inside = netip.AddrFrom4([4]byte(b[e.at:]))
		}
	}
	for _, one := range []netip.Addr{a, inside} {
		switch {
		case one.IsLinkLocalUnicast():
			return fmt.Errorf("%s is a link-local address: refused", a)
		case in(metadata, one):
			return fmt.Errorf("%s is where a cloud keeps its metadata: refused", a)
		case in(translated, one):
			return fmt.Errorf("%s leads to another address, which cannot be checked: refused", a)
		case one.IsUnspecified():
			return fmt.Errorf("%s is not the address of a host: refused", a)
		case one.IsMulticast():
			return fmt.Errorf("%s is a multicast address: refused", a)
		}
	}
	if !publicOnly {
		return nil
	}
	public := !in(special, inside) && !inside.IsLoopback() && !inside.IsPrivate()
	if inside != a && !embedding[0].prefix.Contains(a) {
		public = false // only NAT64 leads to public addresses
	}
	if !public {
		return fmt.Errorf("%s is not a public address, and only these are allowed (--public-urls-only): refused", a)
	}
	return nil
}

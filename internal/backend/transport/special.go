package transport

import "net/netip"

// class is a range of addresses that is not the public internet.
type class struct {
	prefix netip.Prefix
	what   string
}

func classes(what string, prefixes ...string) []class {
	out := make([]class, 0, len(prefixes))
	for _, p := range prefixes {
		out = append(out, class{prefix: netip.MustParsePrefix(p), what: what})
	}
	return out
}

func concat(lists ...[]class) []class {
	var out []class
	for _, list := range lists {
		out = append(out, list...)
	}
	return out
}

// never holds what no flag allows: addresses from which a machine gets its credentials.
// Sources: RFC 3927, RFC 4291, and the clouds' own pages on metadata servers.
var never = concat(
	classes("a metadata address",
		"169.254.169.254/32", // AWS, GCP, Azure, OpenStack and most others
		"169.254.170.0/24",   // AWS: task roles and pod identity
		"fd00:ec2::/32",      // AWS: metadata ::254, pod identity ::23
		"fd20:ce::254/128",   // GCP
		"fd00:42::42/128",    // Scaleway
		"100.100.100.200/32", // Alibaba
		"168.63.129.16/32",   // Azure wire server
		"192.0.0.192/32",     // Oracle
	),
	classes("a link-local address", "169.254.0.0/16", "fe80::/10", "224.0.0.0/24", "ff02::/16", "ff01::/16"),
)

// neverNames resolve to metadata addresses where they mean anything; a proxy would resolve them out of our sight.
var neverNames = map[string]bool{
	"metadata":                   true,
	"metadata.goog":              true,
	"metadata.google.internal":   true,
	"instance-data":              true,
	"instance-data.ec2.internal": true,
	"metadata.tencentyun.com":    true,
}

// specials holds what a flag has to allow. Source: IANA special-purpose address registries.
var specials = concat(
	classes("an unspecified address", "0.0.0.0/8", "::/128"),
	classes("a loopback address", "127.0.0.0/8", "::1/128"),
	classes("a private address", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
	classes("an address of a carrier's or cluster's own network", "100.64.0.0/10"),
	classes("a multicast address", "224.0.0.0/4", "ff00::/8"),
	classes("a reserved address",
		"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
)

var publicIPv6 = netip.MustParsePrefix("2000::/3")

// neverAllowed says whether all of these addresses are refused whatever is allowed, and what they are.
func neverAllowed(p netip.Prefix) (string, bool) {
	for _, c := range never {
		if c.prefix.Bits() <= p.Bits() && c.prefix.Contains(p.Addr()) {
			return c.what, true
		}
	}
	return "", false
}

// special says what kind of address this is; empty for a public one.
func special(addr netip.Addr) string {
	for _, c := range specials {
		if c.prefix.Contains(addr) {
			return c.what
		}
	}
	if addr.Is6() && !publicIPv6.Contains(addr) {
		return "a reserved address"
	}
	return ""
}

var (
	translated      = netip.MustParsePrefix("::ffff:0:0:0/96") // RFC 2765
	compatible      = netip.MustParsePrefix("::/96")           // RFC 4291, 2.5.5.1
	nat64           = netip.MustParsePrefix("64:ff9b::/96")    // RFC 6052
	nat64Local      = netip.MustParsePrefix("64:ff9b:1::/48")  // RFC 8215
	sixToFour       = netip.MustParsePrefix("2002::/16")       // RFC 3056
	teredo          = netip.MustParsePrefix("2001::/32")       // RFC 4380
	isatapInterface = [4]byte{0, 0, 0x5e, 0xfe}                // RFC 5214, with the universal bit clear
	isatapUniversal = [4]byte{2, 0, 0x5e, 0xfe}                // and set
	v6Unspecified   = netip.IPv6Unspecified()
	v6Loopback      = netip.IPv6Loopback()
)

// unwrap gives the addresses that a packet to this one may reach: an IPv6 address that carries an IPv4 address stands
// for that one, or, where the place of the IPv4 address is the network's choice, for itself and each candidate.
func unwrap(addr netip.Addr) []netip.Addr {
	addr = addr.WithZone("").Unmap()
	if addr.Is4() {
		return []netip.Addr{addr}
	}
	b := addr.As16()
	v4 := func(i, j, k, l int) netip.Addr { return netip.AddrFrom4([4]byte{b[i], b[j], b[k], b[l]}) }
	last := v4(12, 13, 14, 15)
	switch {
	case addr == v6Unspecified, addr == v6Loopback:
		return []netip.Addr{addr}
	case translated.Contains(addr), compatible.Contains(addr), nat64.Contains(addr):
		return []netip.Addr{last}
	case sixToFour.Contains(addr):
		return []netip.Addr{addr, v4(2, 3, 4, 5)}
	case nat64Local.Contains(addr):
		return []netip.Addr{addr, last, v4(6, 7, 9, 10), v4(7, 9, 10, 11), v4(9, 10, 11, 12)}
	case teredo.Contains(addr):
		return []netip.Addr{addr, netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}), v4(4, 5, 6, 7)}
	}
	if id := [4]byte(b[8:12]); id == isatapInterface || id == isatapUniversal {
		return []netip.Addr{addr, last}
	}
	return []netip.Addr{addr}
}

// sameMachine says whether two addresses reach the same listener. Every loopback address, and the unspecified one,
// reaches what listens on this machine.
func sameMachine(a, b netip.Addr) bool {
	local := func(x netip.Addr) bool { return x.IsLoopback() || x.IsUnspecified() }
	return a == b || local(a) && local(b)
}

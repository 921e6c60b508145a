package transport

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// AddressPolicy says which addresses may be dialled: public ones, and those that --allow-tracker names. Link-local
// and metadata addresses and the API server are refused whatever is allowed. The zero policy allows nothing more than
// public addresses. A policy is not changed once it is in use.
type AddressPolicy struct {
	hosts      []allowedHost
	prefixes   []allowedPrefix
	apiServers []endpoint
}

type endpoint struct {
	host string // lower case, without the final dot
	port uint16
}

type allowedHost struct {
	host string
	port uint16 // 0: any
}

type allowedPrefix struct {
	prefix netip.Prefix
	port   uint16
}

// ParseAllow reads the values of --allow-tracker: HOST, HOST:PORT or CIDR. A host name stands for whatever it resolves
// to, an address also for the names that resolve to it. An error names the value and what would be right.
func ParseAllow(values []string) (*AddressPolicy, error) {
	p := &AddressPolicy{}
	for _, value := range values {
		if err := p.allow(strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("--allow-tracker=%s: %w", value, err)
		}
	}
	return p, nil
}

func (p *AddressPolicy) allow(value string) error {
	if prefix, err := netip.ParsePrefix(value); err == nil {
		return p.allowPrefix(unmapPrefix(prefix), 0)
	}
	if strings.ContainsAny(value, "/@?#* ") || value == "" {
		return fmt.Errorf("give HOST, HOST:PORT or a CIDR such as 10.0.0.0/8, without scheme, path or wildcard")
	}
	host, port, err := splitEndpoint(value)
	if err != nil {
		return err
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return p.allowPrefix(single(addr.WithZone("").Unmap()), port)
	}
	if slices.Contains(strings.Split(host, "."), "") { // dots and nothing between them
		return fmt.Errorf("%q names no host", value)
	}
	p.hosts = append(p.hosts, allowedHost{host: host, port: port})
	return nil
}

func (p *AddressPolicy) allowPrefix(prefix netip.Prefix, port uint16) error {
	if why, never := neverAllowed(prefix); never {
		return fmt.Errorf("this is %s, which can never be allowed", why)
	}
	p.prefixes = append(p.prefixes, allowedPrefix{prefix: prefix, port: port})
	return nil
}

func single(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
	}
	return p.Masked()
}

// splitEndpoint reads HOST, HOST:PORT, a bare IPv6 address or [IPv6]:PORT; port 0 is none.
func splitEndpoint(value string) (string, uint16, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(value, "["), "]")
	if _, err := netip.ParseAddr(bare); err == nil {
		return bare, 0, nil
	}
	host, portText, err := net.SplitHostPort(value)
	if err != nil {
		if strings.Contains(value, ":") {
			return "", 0, fmt.Errorf("%q is neither HOST nor HOST:PORT", value)
		}
		return canonicalHost(value), 0, nil
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 || host == "" {
		return "", 0, fmt.Errorf("%q is not HOST:PORT with a port from 1 to 65535", value)
	}
	return canonicalHost(host), uint16(port), nil
}

func canonicalHost(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }

// WithAPIServer gives a policy that also refuses the API server's own address and port, always. hostPort is HOST:PORT
// or the URL of a rest.Config; without a port it is 443. An error means that it cannot be read.
func (p *AddressPolicy) WithAPIServer(hostPort string) (*AddressPolicy, error) {
	defaultPort := uint16(443)
	value := strings.TrimPrefix(hostPort, "https://")
	if plain, found := strings.CutPrefix(value, "http://"); found {
		value, defaultPort = plain, 80
	}
	value, _, _ = strings.Cut(value, "/")
	host, port, err := splitEndpoint(value)
	if err != nil {
		return nil, fmt.Errorf("address of the API server: %w", err)
	}
	if port == 0 {
		port = defaultPort
	}
	out := &AddressPolicy{}
	if p != nil {
		*out = *p
	}
	out.apiServers = append(slices.Clip(out.apiServers), endpoint{host: host, port: port})
	return out, nil
}

// check judges one address that a host stands for; host is the address itself where no name was given. apiAddrs are
// the addresses of API servers that listen on this port.
func (p *AddressPolicy) check(host string, addr netip.Addr, port uint16, apiAddrs []netip.Addr) error {
	host = canonicalHost(host)
	what := addr.String() + " is"
	if host != addr.String() {
		what = host + " resolves to " + addr.String() + ","
	}
	candidates := unwrap(addr)
	for _, candidate := range candidates {
		if why, never := neverAllowed(single(candidate)); never {
			return refuse("", fmt.Sprintf("%s %s, which can never be allowed: use another address for the tracker", what, why))
		}
		if slices.ContainsFunc(apiAddrs, func(api netip.Addr) bool { return sameMachine(api, candidate) }) {
			return refuse("", fmt.Sprintf("%s the Kubernetes API server's own address (port %d), which can never be allowed: use another address for the tracker", what, port))
		}
	}
	for _, candidate := range candidates {
		why := special(candidate)
		if why == "" || p.allowed(host, []netip.Addr{addr, candidate}, port) {
			continue
		}
		return refuse("", fmt.Sprintf("%s %s: if it is the tracker, start the manager with --allow-tracker=%s",
			what, why, net.JoinHostPort(host, strconv.Itoa(int(port)))))
	}
	return nil
}

func (p *AddressPolicy) allowed(host string, addrs []netip.Addr, port uint16) bool {
	for _, a := range p.hosts {
		if a.host == host && (a.port == 0 || a.port == port) {
			return true
		}
	}
	for _, a := range p.prefixes {
		if a.port != 0 && a.port != port {
			continue
		}
		if slices.ContainsFunc(addrs, a.prefix.Contains) {
			return true
		}
	}
	return false
}

package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// dialer looks a name up itself, judges every address that comes back, and dials one of exactly those: a name that
// resolves to something else a moment later changes nothing.
type dialer struct {
	policy *AddressPolicy
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// dialTimeout is for one address of a host, so that a dead one leaves time for the next.
const dialTimeout = 5 * time.Second

func newDialer(policy *AddressPolicy) *dialer {
	plain := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return &dialer{
		policy: policy,
		lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		dial: plain.DialContext,
	}
}

// DialContext is http.Transport's.
func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address to dial: %w", err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, refuse("", "the tracker's port is no number from 1 to 65535")
	}
	addrs, err := d.resolve(ctx, host, uint16(port))
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, addr := range addrs {
		conn, err := d.dial(ctx, network, netip.AddrPortFrom(addr, uint16(port)).String())
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// resolve gives the addresses of a host; an error if any of them may not be dialled.
func (d *dialer) resolve(ctx context.Context, host string, port uint16) ([]netip.Addr, error) {
	if neverNames[canonicalHost(host)] {
		return nil, refuse("", canonicalHost(host)+" is a metadata address, which can never be allowed: use another address for the tracker")
	}
	apiAddrs, err := d.apiServerAddrs(ctx, host, port)
	if err != nil {
		return nil, err
	}
	addrs, err := d.addrsOf(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if err := d.policy.check(host, addr, port, apiAddrs); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

func (d *dialer) addrsOf(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	addrs, err := d.lookup(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	return addrs, err
}

// apiServerAddrs gives the addresses of the API servers that listen on this port. One whose name does not resolve
// cannot be reached by a tracker's address either.
func (d *dialer) apiServerAddrs(ctx context.Context, host string, port uint16) ([]netip.Addr, error) {
	var all []netip.Addr
	for _, api := range d.policy.apiServers {
		if api.port != port {
			continue
		}
		if api.host == canonicalHost(host) {
			return nil, refuse("", fmt.Sprintf("%s port %d is the Kubernetes API server's own address, which can never be allowed: use another address for the tracker", api.host, port))
		}
		addrs, err := d.addrsOf(ctx, api.host)
		if err != nil {
			continue
		}
		for _, addr := range addrs {
			all = append(all, unwrap(addr)...)
		}
	}
	return all, nil
}

// checkTarget judges a host that a proxy will dial for us. One that only the proxy can resolve is the proxy's to judge.
func (d *dialer) checkTarget(ctx context.Context, host string, port uint16) error {
	_, err := d.resolve(ctx, host, port)
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return nil
	}
	return err
}

func portOf(u *url.URL) uint16 {
	if port, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return uint16(port)
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}

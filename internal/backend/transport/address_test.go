package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/runtag/runtag/internal/backend"
)

func mustAllow(t *testing.T, values ...string) *AddressPolicy {
	t.Helper()
	p, err := ParseAllow(values)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// namesOf is a resolver that knows these names.
func namesOf(names map[string][]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		known, ok := names[strings.ToLower(host)]
		if !ok {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		var addrs []netip.Addr
		for _, a := range known {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
		return addrs, nil
	}
}

func TestWhichAddressesMayBeDialled(t *testing.T) {
	names := map[string][]string{
		"public.example":   {"93.184.216.34", "2606:2800:220:1::1"},
		"mlflow.ml.svc":    {"10.1.2.3"},
		"mixed.example":    {"93.184.216.34", "10.1.2.3"},
		"sly.example":      {"169.254.169.254"},
		"mapped.example":   {"::ffff:10.1.2.3"},
		"api.cluster":      {"10.96.0.1"},
		"kubernetes.local": {"10.96.0.1"},
	}
	const fine = ""
	for _, c := range []struct {
		reason string
		allow  []string
		api    string
		target string
		want   string // a part of the message
	}{
		{"a public name is fine", nil, "", "public.example:443", fine},
		{"a public address is fine", nil, "", "93.184.216.34:443", fine},
		{"a public IPv6 address is fine", nil, "", "[2606:2800:220:1::1]:443", fine},
		{"loopback needs the flag", nil, "", "127.0.0.1:8088", "127.0.0.1 is a loopback address: if it is the tracker, start the manager with --allow-tracker=127.0.0.1:8088"},
		{"all of 127/8 is loopback", nil, "", "127.9.9.9:80", "--allow-tracker=127.9.9.9:80"},
		{"IPv6 loopback, in brackets", nil, "", "[::1]:8088", "--allow-tracker=[::1]:8088"},
		{"RFC 1918: 10/8", nil, "", "10.1.2.3:8080", "a private address: if it is the tracker, start the manager with --allow-tracker=10.1.2.3:8080"},
		{"RFC 1918: 172.16/12", nil, "", "172.31.0.1:80", "private"},
		{"just beyond 172.16/12", nil, "", "172.32.0.1:80", fine},
		{"RFC 1918: 192.168/16", nil, "", "192.168.1.1:80", "private"},
		{"unique local", nil, "", "[fd12::1]:80", "private"},
		{"carrier grade NAT", nil, "", "100.64.0.1:80", "cluster's own network"},
		{"unspecified reaches this machine", nil, "", "0.0.0.0:80", "unspecified"},
		{"IPv6 unspecified", nil, "", "[::]:80", "unspecified"},
		{"multicast", nil, "", "239.1.1.1:80", "multicast"},
		{"IPv6 multicast", nil, "", "[ff05::1]:80", "multicast"},
		{"benchmarks", nil, "", "198.18.0.1:80", "reserved"},
		{"documentation", nil, "", "[2001:db8::1]:80", "reserved"},
		{"broadcast", nil, "", "255.255.255.255:80", "reserved"},
		{"outside of what IPv6 gives out", nil, "", "[4000::1]:80", "reserved"},
		{"a name is named in the flag", nil, "", "mlflow.ml.svc:5000", "mlflow.ml.svc resolves to 10.1.2.3, a private address: if it is the tracker, start the manager with --allow-tracker=mlflow.ml.svc:5000"},
		{"one bad address of a name is enough", nil, "", "mixed.example:80", "10.1.2.3"},

		{"mapped", nil, "", "[::ffff:10.1.2.3]:80", "private"},
		{"mapped, by name", nil, "", "mapped.example:80", "private"},
		{"translated (SIIT)", nil, "", "[::ffff:0:127.0.0.1]:80", "loopback"},
		{"IPv4-compatible", nil, "", "[::127.0.0.1]:80", "loopback"},
		{"NAT64", nil, "", "[64:ff9b::10.1.2.3]:80", "private"},
		{"NAT64 of a public address", nil, "", "[64:ff9b::93.184.216.34]:80", fine},
		{"NAT64 of metadata", []string{"::/0"}, "", "[64:ff9b::169.254.169.254]:80", "never"},
		{"local NAT64 of metadata, as /96", []string{"::/0"}, "", "[64:ff9b:1::169.254.169.254]:80", "never"},
		{"local NAT64 of metadata, as /48", []string{"::/0"}, "", "[64:ff9b:1:a9fe:a9:fe00::]:80", "never"},
		{"6to4 of metadata", []string{"::/0"}, "", "[2002:a9fe:a9fe::1]:80", "never"},
		{"6to4 of a private address", []string{"2002::/16"}, "", "[2002:0a01:0203::1]:80", fine},
		{"Teredo of metadata", []string{"::/0"}, "", "[2001:0:1::5601:5601]:80", "never"},
		{"ISATAP of metadata", nil, "", "[2606:2800::5efe:169.254.169.254]:80", "never"},

		{"HOST stands for whatever it resolves to", []string{"mlflow.ml.svc"}, "", "mlflow.ml.svc:5000", fine},
		{"in any case and with a final dot", []string{"MLflow.ml.svc."}, "", "mlflow.ML.svc:5000", fine},
		{"HOST is not another host with that address", []string{"mlflow.ml.svc"}, "", "10.1.2.3:5000", "private"},
		{"an address stands for the names that resolve to it", []string{"10.1.2.3"}, "", "mlflow.ml.svc:5000", fine},
		{"HOST:PORT is that port", []string{"mlflow.ml.svc:5000"}, "", "mlflow.ml.svc:5000", fine},
		{"HOST:PORT is no other port", []string{"mlflow.ml.svc:5000"}, "", "mlflow.ml.svc:5001", "--allow-tracker=mlflow.ml.svc:5001"},
		{"address with port", []string{"127.0.0.1:8088"}, "", "127.0.0.1:8088", fine},
		{"address with another port", []string{"127.0.0.1:8088"}, "", "127.0.0.1:8089", "loopback"},
		{"IPv6 with port", []string{"[::1]:8088"}, "", "[::1]:8088", fine},
		{"IPv6 alone", []string{"::1"}, "", "[::1]:9", fine},
		{"CIDR", []string{"10.0.0.0/8"}, "", "mlflow.ml.svc:5000", fine},
		{"CIDR also when mapped", []string{"10.0.0.0/8"}, "", "[::ffff:10.1.2.3]:5000", fine},
		{"mapped CIDR", []string{"::ffff:10.0.0.0/104"}, "", "10.1.2.3:5000", fine},
		{"not in the CIDR", []string{"10.2.0.0/16"}, "", "mlflow.ml.svc:5000", "private"},
		{"the second value counts too", []string{"a.example", "10.0.0.0/8"}, "", "10.1.2.3:1", fine},

		{"link-local, never", []string{"0.0.0.0/0"}, "", "169.254.1.1:80", "never be allowed"},
		{"metadata, never", []string{"0.0.0.0/0"}, "", "169.254.169.254:80", "a metadata address, which can never be allowed"},
		{"metadata behind a name that is allowed", []string{"sly.example"}, "", "sly.example:80", "never"},
		{"AWS metadata by IPv6", []string{"fc00::/7"}, "", "[fd00:ec2::254]:80", "never"},
		{"Azure's wire server is a public address", nil, "", "168.63.129.16:80", "never"},
		{"Alibaba's is a carrier's", []string{"100.64.0.0/10"}, "", "100.100.100.200:80", "never"},
		{"IPv6 link-local", []string{"::/0"}, "", "[fe80::1]:80", "never"},
		{"IPv6 link-local with a zone", []string{"::/0"}, "", "[fe80::1%eth0]:80", "never"},
		{"metadata by its name", []string{"metadata.google.internal"}, "", "Metadata.google.internal.:80", "never"},

		{"the API server by address, never", []string{"10.0.0.0/8"}, "10.96.0.1:443", "10.96.0.1:443", "API server"},
		{"the API server by another name", []string{"10.0.0.0/8"}, "10.96.0.1:443", "api.cluster:443", "API server"},
		{"the API server given by name", []string{"10.0.0.0/8"}, "https://kubernetes.local", "10.96.0.1:443", "API server"},
		{"the API server by that name", []string{"kubernetes.local"}, "kubernetes.local:6443", "kubernetes.local:6443", "API server"},
		{"another port of that machine", []string{"10.0.0.0/8"}, "10.96.0.1:443", "10.96.0.1:8080", fine},
		{"the API server on loopback, through all of it", []string{"127.0.0.0/8"}, "https://127.0.0.1:6443/", "127.0.0.2:6443", "API server"},
		{"the API server on loopback, through 0.0.0.0", []string{"0.0.0.0"}, "127.0.0.1:6443", "0.0.0.0:6443", "API server"},
		{"a tracker beside the API server on loopback", []string{"127.0.0.1"}, "127.0.0.1:6443", "127.0.0.1:8088", fine},
		{"an API server without port", []string{"10.0.0.0/8"}, "http://10.96.0.1", "10.96.0.1:80", "API server"},
		{"a name that nobody knows is not the API server", []string{"10.0.0.0/8"}, "gone.local:443", "10.96.0.1:443", fine},
	} {
		t.Run(c.reason, func(t *testing.T) {
			policy := mustAllow(t, c.allow...)
			if c.api != "" {
				var err error
				if policy, err = policy.WithAPIServer(c.api); err != nil {
					t.Fatal(err)
				}
			}
			var dialled []string
			d := newDialer(policy)
			d.lookup = namesOf(names)
			d.dial = func(_ context.Context, _, address string) (net.Conn, error) {
				dialled = append(dialled, address)
				return nil, errors.New("reached")
			}
			_, err := d.DialContext(t.Context(), "tcp", c.target)
			if c.want == fine {
				if len(dialled) == 0 {
					t.Fatalf("%s was not dialled: %v", c.target, err)
				}
				return
			}
			if !backend.IsKind(err, backend.AddressRefused) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want AddressRefused with %q", err, c.want)
			}
			if len(dialled) > 0 {
				t.Errorf("%v was dialled", dialled)
			}
		})
	}
}

func TestTheFlagInTheMessageAllowsTheAddress(t *testing.T) {
	for _, target := range []string{"127.0.0.1:8088", "[::1]:8088", "10.0.0.1:443", "mlflow.ml.svc:5000", "[fd12::1]:80", "[64:ff9b::10.1.2.3]:80"} {
		t.Run(target, func(t *testing.T) {
			d := newDialer(&AddressPolicy{})
			d.lookup = namesOf(map[string][]string{"mlflow.ml.svc": {"10.1.2.3"}})
			d.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("reached") }
			_, err := d.DialContext(t.Context(), "tcp", target)
			_, flag, found := strings.Cut(err.Error(), "--allow-tracker=")
			if !found {
				t.Fatalf("no flag in %q", err)
			}
			d.policy = mustAllow(t, flag)
			if _, err = d.DialContext(t.Context(), "tcp", target); err == nil || !strings.Contains(err.Error(), "reached") {
				t.Errorf("with --allow-tracker=%s: %v", flag, err)
			}
		})
	}
}

func TestANameThatChangesAfterTheCheckChangesNothing(t *testing.T) {
	d := newDialer(&AddressPolicy{})
	lookups := 0
	d.lookup = func(context.Context, string) ([]netip.Addr, error) {
		lookups++
		if lookups == 1 {
			return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	d.dial = func(_ context.Context, _, address string) (net.Conn, error) {
		if address != "93.184.216.34:80" {
			t.Errorf("dialled %s, which was never checked", address)
		}
		return nil, errors.New("reached")
	}
	if _, err := d.DialContext(t.Context(), "tcp", "rebind.example:80"); err == nil || backend.IsKind(err, backend.AddressRefused) {
		t.Errorf("the first answer was public, so it is dialled: %v", err)
	}
	if _, err := d.DialContext(t.Context(), "tcp", "rebind.example:80"); !backend.IsKind(err, backend.AddressRefused) {
		t.Errorf("the second answer is loopback, so it is refused: %v", err)
	}
}

func TestTheAPIServersNameIsRefusedWhateverItResolvesTo(t *testing.T) {
	policy, err := mustAllow(t, "10.0.0.0/8").WithAPIServer("api.example")
	if err != nil {
		t.Fatal(err)
	}
	d := newDialer(policy)
	last := byte(0)
	d.lookup = func(context.Context, string) ([]netip.Addr, error) {
		last++
		return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, last})}, nil
	}
	if _, err := d.DialContext(t.Context(), "tcp", "API.example:443"); !backend.IsKind(err, backend.AddressRefused) {
		t.Errorf("got %v", err)
	}
}

func TestAllAddressesAreTriedInTurn(t *testing.T) {
	d := newDialer(&AddressPolicy{})
	d.lookup = namesOf(map[string][]string{"two.example": {"93.184.216.34", "93.184.216.35"}})
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	d.dial = func(_ context.Context, _, address string) (net.Conn, error) {
		if address == "93.184.216.34:443" {
			return nil, errors.New("is down")
		}
		return ours, nil
	}
	if conn, err := d.DialContext(t.Context(), "tcp", "two.example:443"); conn != ours || err != nil {
		t.Errorf("the second address answers, but: %v", err)
	}
}

func TestParseAllowRefusesWhatCannotBeMeant(t *testing.T) {
	for _, c := range []struct{ reason, value, want string }{
		{"a URL is no host", "http://mlflow:5000", "without scheme"},
		{"empty allows nothing", "", "give HOST"},
		{"wildcards are not known", "*.ml.svc", "wildcard"},
		{"a CIDR with a wrong length", "10.0.0.0/33", "give HOST"},
		{"port 0", "mlflow:0", "port from 1"},
		{"port out of range", "mlflow:65536", "port from 1"},
		{"a port that is none", "mlflow:http", "port from 1"},
		{"no host", ":5000", "port from 1"},
		{"too many colons", "a:b:c", "neither"},
		{"metadata", "169.254.169.254", "never be allowed"},
		{"metadata, mapped", "::ffff:169.254.169.254", "never be allowed"},
		{"metadata with port", "169.254.169.254:80", "never be allowed"},
		{"link-local as a whole", "169.254.0.0/16", "never be allowed"},
		{"IPv6 link-local as a whole", "fe80::/10", "never be allowed"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			_, err := ParseAllow([]string{"fine.example", c.value})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--allow-tracker="+c.value) {
				t.Errorf("got %v, want it to name the value and %q", err, c.want)
			}
		})
	}
	if _, err := (&AddressPolicy{}).WithAPIServer("https://a:b:c"); err == nil {
		t.Error("an address that cannot be read is not a guard")
	}
}

func TestAnAPIServerIsAddedToACopy(t *testing.T) {
	base := mustAllow(t, "10.0.0.0/8")
	with, err := base.WithAPIServer("10.0.0.1:443")
	if err != nil {
		t.Fatal(err)
	}
	if len(base.apiServers) != 0 || len(with.apiServers) != 1 || len(with.prefixes) != 1 {
		t.Errorf("base %+v, with %+v", base, with)
	}
	var none *AddressPolicy
	if with, err = none.WithAPIServer("10.0.0.1:443"); err != nil || len(with.apiServers) != 1 {
		t.Errorf("no policy is the empty one: %v", err)
	}
}

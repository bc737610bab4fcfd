package deliver

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestE9_AddressesThatAreRefused(t *testing.T) {
	for address, wants := range map[string][2]bool{ // allowed: by default, with publicOnly
		"93.184.215.14": {true, true}, "2606:4700::1111": {true, true}, "64:ff9b::8.8.8.8": {true, true},
		"127.0.0.1": {true, false}, "::1": {true, false}, "10.1.2.3": {true, false},
		"172.16.0.1": {true, false}, "192.168.0.1": {true, false},
		"fd00:ec2::254": {}, "100.100.100.200": {}, "192.0.0.192": {},
		"168.63.129.16": {}, "::ffff:168.63.129.16": {}, "64:ff9b::100.100.100.200": {},
		"fd20:ce::254": {}, "::169.254.169.254": {}, "2002:a9fe:a9fe::1": {},
		"64:ff9b:1::a9fe:a9fe": {}, "2001:0:1:2:3:4:5:6": {}, "::ffff:0:169.254.169.254": {},
		"fd00::1": {true, false}, "203.0.113.1": {true, false}, "2001:db8::1": {true, false}, "::8.8.8.8": {true, false},
		"2002:808:808::1": {true, false}, "::ffff:100.64.0.1": {true, false},
		"::ffff:10.0.0.1": {true, false}, "64:ff9b::10.0.0.1": {true, false},
		"198.18.0.1": {true, false}, "0.1.2.3": {true, false},
		"255.255.255.255": {true, false}, "2002:a00:1::1": {true, false}, "fec0::1": {true, false},
		"169.254.169.254": {}, "::ffff:169.254.169.254": {}, "64:ff9b::a9fe:a9fe": {}, "fe80::1": {}, "fe80::1%eth0": {},
		"0.0.0.0": {}, "::": {}, "224.0.0.1": {}, "ff02::1": {},
	} {
		a := netip.MustParseAddr(address)
		if got := [2]bool{allow(a, false) == nil, allow(a, true) == nil}; got != wants {
			t.Errorf("%s is allowed %v, want %v", address, got, wants)
		}
	}
}

// What a name turns out to be is looked at, not the name.
func TestE9_ARefusedAddressIsNotConnectedTo(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("connected") })
	port := url[strings.LastIndexByte(url, ':'):]
	public := New(true)
	defer public.Close()
	for _, address := range []string{url, "http://localhost" + port, "http://[::ffff:127.0.0.1]" + port} {
		if err := public.Post(t.Context(), target(t, address, nil, nil), aJob(), "id", time.Second); err == nil ||
			!strings.Contains(err.Error(), "not a public address") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"http://169.254.169.254/latest", "http://0.0.0.0" + port} {
		if err := post(t.Context(), t, target(t, address, nil, nil)); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// However an address of this host is written, it is not connected to: a resolver that reads the form gives an address, which is refused,
// and one that does not read it finds no host.
func TestE9_OtherFormsOfARefusedAddress(t *testing.T) {
	url := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("connected") })
	port := url[strings.LastIndexByte(url, ':'):]
	public := New(true)
	defer public.Close()
	for _, host := range []string{
		"2130706433", "0177.0.0.1", "017700000001", "0x7f000001", "0x7f.0.0.1", "127.1", "127.0.0.1.", "localhost.", "[::127.0.0.1]",
	} {
		to, err := NewTarget("http://"+host+port, nil, nil)
		if err == nil {
			err = public.Post(t.Context(), to, aJob(), "id", time.Second)
		}
		if err == nil {
			t.Errorf("%s was posted to", host)
		}
	}
}

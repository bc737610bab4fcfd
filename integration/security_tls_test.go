package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

// TestTLS: with an authority of one's own the server is known, and any other server is refused before it learns the password.
func TestTLS(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	for engine, tls := range map[string]struct {
		arguments string
		trust     map[string]string // parameters of the address; CA stands for the file
	}{
		"postgres": {
			`-c ssl=on -c ssl_cert_file="$DIR/server.pem" -c ssl_key_file="$DIR/server.key"`,
			map[string]string{"sslmode": "verify-full", "sslrootcert": "CA"},
		},
		"mariadb": {`--ssl-cert="$DIR/server.pem" --ssl-key="$DIR/server.key"`, map[string]string{"ssl-ca": "CA"}},
		"mysql":   {`--ssl-cert="$DIR/server.pem" --ssl-key="$DIR/server.key"`, map[string]string{"ssl-ca": "CA"}},
	} {
		t.Run(engine, func(t *testing.T) {
			if servers.Without(engine) {
				t.Skip("switched off")
			}
			own := servers.Own(t, engine)
			ca, other := newAuthority(t), newAuthority(t)
			certificate, key := ca.issue(t, net.IPv4(127, 0, 0, 1))
			own.Configure(t, tls.arguments, map[string][]byte{"server.pem": certificate, "server.key": key})
			plain := own.NewDatabase(t)
			trusting := func(a *authority) string {
				dsn := plain
				for name, value := range tls.trust {
					dsn = with(t, dsn, name, strings.ReplaceAll(value, "CA", a.file))
				}
				return dsn
			}
			c := &command{t: t, binary: binary, server: own.Server, dsn: trusting(ca)}
			c.ok("migrate", "up")
			c.ok("push", "a")
			c.ok("work", "--once", "--exec", "true")

			secret, _ := mustURL(t, plain).User.Password()
			for name, test := range map[string]struct{ dsn, says string }{
				"another authority": {trusting(other), "unknown authority"},
				"another name":      {strings.Replace(trusting(ca), "127.0.0.1", "localhost", 1), "localhost"},
				"no such file":      {trusting(&authority{file: "/nonexistent/ca.pem"}), "/nonexistent/ca.pem"},
			} {
				c.dsn = test.dsn
				stdout, stderr, code := c.run("queues")
				if code == 0 || !strings.Contains(stderr, test.says) || strings.Contains(stdout+stderr, secret) {
					t.Errorf("%s: exit code %d: %s%s", name, code, stdout, stderr)
				}
			}
		})
	}
}

// authority signs certificates.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	file        string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, file: filepath.Join(t.TempDir(), "ca.pem"), certificate: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test's authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}}
	text := a.sign(t, a.certificate, key)
	if err := os.WriteFile(a.file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue returns the certificate of an address and its key, in PEM.
func (a *authority) issue(t *testing.T, address net.IP) (certificate, key []byte) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test's server"}, IPAddresses: []net.IP{address},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, own), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (a *authority) sign(t *testing.T, certificate *x509.Certificate, of *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, certificate, a.certificate, of.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

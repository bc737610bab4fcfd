package cli

import (
	"net"
	"net/url"
	"strings"
	"testing"
)

// A password that can be recognised wherever it appears, whole or in part.
const secret = "hunter2-s3cr3t"

func TestAddressIsWrong(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for _, test := range []struct {
		dsn  string
		says string
	}{
		{"jobs.db", "the address has no scheme: use postgres://"},
		{"", "the address has no scheme"},
		{"host=db user=app password=" + secret, "the address has no scheme"},
		{"oracle://app:" + secret + "@db/shop", `unknown scheme "oracle" in the address: use postgres://`},
		{"root:" + secret + "@tcp(db:3306)/shop", "put mysql:// before it"},
		{"root@unix(/run/mysqld.sock)/shop", "put mysql:// before it"},
		{"mysql://root:" + secret + "@udp(db:3306)/shop", "use unix(/path/to/socket) or tcp(host:port)"},
		{"mysql:///shop?host=db&user=root&password=" + secret, "which go-sql-driver does not know"},
		{"mysql://root:" + secret + "@db/shop?sslmode=require", "use tls=true"},
		{"postgres:shop", "the postgres address is malformed"},
		{"postgres://app:" + secret + "/x@db/shop", "special characters of the user and the password percent-encoded"},
		{"postgres://app:" + secret + "%zz@db/shop", "the postgres address is malformed"},
		{"postgresql://app:" + secret + " x@db:port/shop", "the postgresql address is malformed"},
		{"mysql://app:" + secret + "#x@db/shop", "the mysql address is malformed"},
		{"mysql://app:" + secret + "@db:99999999/shop", ""},
		{"mysql://app:" + secret + "@db:3306", "it names no database"},
		{"mysql://app:" + secret + "@db/shop?tls=no-such-config", "no-such-config"},
		{"mysql://app:" + secret + "@db/shop?parseTime=" + secret, "invalid bool value"},
		{"postgres://app:" + secret + "@db/shop?sslmode=" + secret, "sslmode"},
		{"postgres://app@db/shop?sslmode=wrong&password=" + secret, "sslmode"},
		{"postgres://app:" + secret + "@db/shop?pool_max_conns=many", "pool_max_conns"},
		{"postgres://app:" + secret + "@db/shop#" + secret, "the postgres address is malformed"},
		{"sqlite:", "the address names no file"},
		{"sqlite::memory:", "a database in memory ends with the command"},
	} {
		got := s.run("queues", "--dsn", test.dsn)
		if got.code == 0 || !strings.Contains(got.stderr, test.says) {
			t.Errorf("%s: exit code %d, and standard error does not say %q:\n%s", test.dsn, got.code, test.says, got.stderr)
		}
		checkSecret(t, test.dsn, got)
	}
}

// Wherever an address is broken, nothing shows the password.
func TestBrokenAddressShowsNoPassword(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for _, scheme := range []string{"postgres", "mysql"} {
		whole := scheme + "://app:" + secret + "@127.0.0.1:1/shop"
		for i := range strings.Index(whole, "127") {
			for _, broken := range []string{
				whole[:i] + "%" + whole[i:], whole[:i] + " " + whole[i:], whole[:i] + ":" + whole[i:], whole[:i] + "/" + whole[i:],
				whole[:i] + whole[i+1:],
			} {
				if strings.Contains(broken, secret) {
					checkSecret(t, broken, s.run("queues", "--dsn", broken))
				}
			}
		}
	}
}

// A server that is away is named with its port and the database, and the password is not.
func TestServerIsAway(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	host := closedPort(t)
	for _, dsn := range []string{
		"postgres://app:" + secret + "@" + host + "/shop",
		"postgresql://app@" + host + "/shop?password=" + secret,
		"mysql://app:" + secret + "@" + host + "/shop",
		"mariadb://app:" + url.QueryEscape(secret+"@/%") + "@" + host + "/shop?timeout=5s",
	} {
		for _, command := range [][]string{{"queues"}, {"push", "x"}, {"migrate", "up"}, {"failed"}} {
			args := append(command, "--dsn", dsn)
			got := s.run(args...)
			checkFailure(t, got, 1, []string{"cannot connect to", host, `database "shop"`, "connection refused"}, args)
			checkSecret(t, dsn, got)
		}
	}
}

func checkSecret(t *testing.T, dsn string, got result) {
	t.Helper()
	if strings.Contains(got.stdout+got.stderr, secret) || strings.Contains(got.stdout+got.stderr, url.QueryEscape(secret)) {
		t.Errorf("%s: the password is shown:\n%s%s", dsn, got.stdout, got.stderr)
	}
}

// closedPort returns a host and port where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return host
}

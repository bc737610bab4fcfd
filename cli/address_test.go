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
			for _, broken := range []string{whole[:i] + "%" + whole[i:], whole[:i] + " " + whole[i:], whole[:i] + ":" + whole[i:], whole[:i] + "/" + whole[i:], whole[:i] + whole[i+1:]} {
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

// A password that says nothing, such as the user's name, does not make the errors unreadable.
func TestPasswordLikeTheUsersName(t *testing.T) {
	t.Parallel()
	a, err := parseAddress("postgres://postgres:postgres@db/postgres")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.secrets) != 0 {
		t.Errorf("hides %q", a.secrets)
	}
	if got, want := a.String(), `postgres at db:5432, database "postgres"`; got != want {
		t.Errorf("the address is shown as %q, want %q", got, want)
	}
}

func TestMySQLAddress(t *testing.T) {
	t.Parallel()
	a, err := parseAddress("mysql://us%40er:p%2F%3A%40ss@db.example.com/my%20shop?tls=true&timeout=5s&sql_mode=%27ANSI%27")
	if err != nil {
		t.Fatal(err)
	}
	c, err := mysqlConfig(a)
	if err != nil {
		t.Fatal(err)
	}
	if c.User != "us@er" || c.Passwd != "p/:@ss" || c.Net != "tcp" || c.Addr != "db.example.com:3306" || c.DBName != "my shop" {
		t.Errorf("user %q, password %q, %s %q, database %q", c.User, c.Passwd, c.Net, c.Addr, c.DBName)
	}
	if c.Timeout.Seconds() != 5 || c.Params["sql_mode"] != "'ANSI'" || c.TLSConfig != "true" || c.TLS != nil {
		t.Errorf("timeout %v, parameters %q, TLS %q made for %v", c.Timeout, c.Params, c.TLSConfig, c.TLS)
	}
}

// Every way to write where a MySQL server is.
func TestMySQLAddresses(t *testing.T) {
	const socket = "/run/mysqld/mysqld.sock"
	for dsn, want := range map[string]string{
		"mysql://app:p%40ss@unix(" + socket + ")/shop":                     "unix " + socket,
		"mysql://app:p%40ss@unix(" + socket + ")/shop?timeout=5s":          "unix " + socket,
		"mysql://app:p%40ss@localhost/shop?socket=" + socket:               "unix " + socket,
		"mariadb://app:p%40ss@localhost:3306/shop?unix_socket=" + socket:   "unix " + socket,
		"mysql://app:p%40ss@/shop?unix_socket=" + socket:                   "unix " + socket,
		"mysql://app:p%40ss@%2Frun%2Fmysqld%2Fmysqld.sock/shop":            "unix " + socket,
		"mysql://app:p%40ss@%2frun%2Fmysqld%2Fmysqld.sock/shop?timeout=5s": "unix " + socket,
		"mysql://app:p%40ss@tcp(db:3307)/shop":                             "tcp db:3307",
		"mysql://app:p%40ss@tcp(db)/shop?timeout=5s":                       "tcp db:3306",
		"mysql://app:p%40ss@tcp([::1]:3307)/shop":                          "tcp [::1]:3307",
		"mysql://app:p%40ss@[::1]/shop":                                    "tcp [::1]:3306",
		"mysql://app:p%40ss@/shop":                                         "tcp 127.0.0.1:3306",
	} {
		a, err := parseAddress(dsn)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		c, err := mysqlConfig(a)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if got := c.Net + " " + c.Addr; got != want || c.User != "app" || c.Passwd != "p@ss" || c.DBName != "shop" || len(c.Params) > 0 {
			t.Errorf("%s: %s, user %q, password %q, database %q, parameters %q; want %s", dsn, got, c.User, c.Passwd, c.DBName, c.Params, want)
		}
		if shown, _ := shownAddress(dsn); strings.HasPrefix(want, "unix") && !strings.Contains(shown, url.QueryEscape(socket)) || strings.Contains(shown, "p%40ss") {
			t.Errorf("%s is shown as %s", dsn, shown)
		}
	}
}

func TestSQLitePath(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]string{
		"sqlite:jobs.db": "jobs.db", "sqlite:/var/lib/jobs.db": "/var/lib/jobs.db", "sqlite:///var/lib/jobs.db": "/var/lib/jobs.db",
		"sqlite3:a/../b.db": "b.db", "SQLite:file:what%3F100%25%23.db": "what?100%#.db",
	} {
		a, err := parseAddress(dsn)
		if err != nil || a.path != want {
			t.Errorf("%s is the file %q, %v; want %q", dsn, a.path, err, want)
		}
	}
}

package open

import (
	"net/url"
	"strings"
	"testing"
)

// A password that says nothing, such as the user's name, does not make the errors unreadable.
func TestPasswordLikeTheUsersName(t *testing.T) {
	t.Parallel()
	a, err := ParseAddress("postgres://postgres:postgres@db/postgres")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Secrets) != 0 {
		t.Errorf("hides %q", a.Secrets)
	}
	if got, want := a.String(), `postgres at db:5432, database "postgres"`; got != want {
		t.Errorf("the address is shown as %q, want %q", got, want)
	}
}

func TestMySQLAddress(t *testing.T) {
	t.Parallel()
	a, err := ParseAddress("mysql://us%40er:p%2F%3A%40ss@db.example.com/my%20shop?tls=true&timeout=5s&sql_mode=%27ANSI%27")
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
		a, err := ParseAddress(dsn)
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
			t.Errorf("%s: %s, user %q, password %q, database %q, parameters %q; want %s",
				dsn, got, c.User, c.Passwd, c.DBName, c.Params, want)
		}
		if shown, _ := ShownAddress(dsn); strings.HasPrefix(want, "unix") && !strings.Contains(shown, url.QueryEscape(socket)) ||
			strings.Contains(shown, "p%40ss") {
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
		a, err := ParseAddress(dsn)
		if err != nil || a.path != want {
			t.Errorf("%s is the file %q, %v; want %q", dsn, a.path, err, want)
		}
	}
}

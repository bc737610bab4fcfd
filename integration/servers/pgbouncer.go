package servers

import (
	"fmt"
	"net/url"
	"testing"
)

// NewPgbouncer starts a pgbouncer in transaction mode before the PostgreSQL that an address leads to, for the address's user. It returns
// the address through it. Settings are further lines of its configuration.
func NewPgbouncer(t *testing.T, dsn, settings string) (*Program, string) {
	t.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("the address of the test's database is not one")
	}
	password, _ := address.User.Password()
	port := FreePort(t)
	bouncer := NewProgram(t, "postgres", "pgbouncer -q settings", map[string]string{
		"settings": fmt.Sprintf(`[databases]
* = host=%s port=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = plain
auth_file = users
pool_mode = transaction
default_pool_size = 15
max_client_conn = 500
%s`, address.Hostname(), address.Port(), port, settings),
		"users": fmt.Sprintf("%q %q\n", address.User.Username(), password),
	})
	bouncer.Start(t)
	address.Host = "127.0.0.1:" + port
	return bouncer, address.String()
}

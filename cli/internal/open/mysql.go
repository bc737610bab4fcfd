package open

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
)

// openMySQL opens mysql://user:password@host:port/database, also of MariaDB, or one of the other forms of mysqlURL. Parameters after ? are
// go-sql-driver's: tls, timeout, readTimeout and so on. Besides, ssl-ca is a file with the certificates in PEM of whom a server's may be
// signed by, instead of the system's; with it the connection is TLS and the server's name is checked, whatever tls says.
func openMySQL(a Address, config sqlqueue.Config) (*Database, error) {
	driverConfig, err := mysqlConfig(a)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(driverConfig)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(settled{connector})
	db.SetConnMaxIdleTime(mysqlIdle / 2)
	queue, err := mysqlqueue.New(db, config)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &Database{Address: a, Queue: queue, DB: db, Close: func() { _ = db.Close() }}, nil
}

// settled makes connections in which what sqlqueue's statements rely on is set, whatever the server, its init_connect and the address say.
type settled struct{ driver.Connector }

// mysqlIdle is how long the server keeps a connection that sends nothing. A worker that is frozen, or whose host is gone, holds its locks
// no longer than that.
const mysqlIdle = 10 * time.Second

var mysqlSession = []string{
	"SET NAMES utf8mb4",
	"SET SESSION TRANSACTION READ WRITE",
	"SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', autocommit = 1, completion_type = 0," +
		" unique_checks = 1, sql_safe_updates = 0, sql_select_limit = 18446744073709551615, " +
		fmt.Sprintf("wait_timeout = %d", mysqlIdle/time.Second),
}

// Connect is that of driver.Connector.
func (s settled) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := s.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, statement := range mysqlSession {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// Forms of an address besides a plain URL, without mysql:// before them.
var (
	inBrackets = regexp.MustCompile(`^(?:(.*)@)?(\w+)(?:\(([^()]*)\))?(/[^/]*)$`) // go-sql-driver's: user:password@unix(/path)/database?…
	asHost     = regexp.MustCompile(`^(?:([^@/]*)@)?(%2[fF][^/?@:]*)(/[^/?]*)?(\?.*)?$`)
)

// mysqlURL makes a URL with a host, of an address that has a socket or go-sql-driver's brackets, and returns the path of the socket. The
// forms are, each percent-encoded like a URL:
//
//	mysql://user:password@unix(/path/to/socket)/database
//	mysql://user:password@tcp(host:port)/database
//	mysql://user:password@%2Fpath%2Fto%2Fsocket/database
//	mysql://user:password@localhost/database?socket=/path/to/socket (or unix_socket=)
func mysqlURL(dsn string) (plain, socket string, err error) {
	scheme, rest, ok := strings.Cut(dsn, "://")
	if !ok {
		return dsn, "", nil
	}
	before, after, parameters := strings.Cut(rest, "?")
	if m := inBrackets.FindStringSubmatch(before); m != nil && m[3] != "" {
		switch m[2] {
		case "unix":
			socket, m[3] = m[3], "localhost"
		case "tcp":
		default:
			return "", "", errors.New("its network is unknown: use unix(/path/to/socket) or tcp(host:port)")
		}
		if m[1] != "" {
			m[1] += "@"
		}
		rest = m[1] + m[3] + m[4]
		if parameters {
			rest += "?" + after
		}
	} else if m := asHost.FindStringSubmatch(rest); m != nil {
		if socket, err = url.PathUnescape(m[2]); err != nil {
			return "", "", errors.New("the path of the socket has a wrong percent-encoding")
		}
		if m[1] != "" {
			m[1] += "@"
		}
		rest = m[1] + "localhost" + m[3] + m[4]
	}
	return scheme + "://" + rest, socket, nil
}

// mysqlSocket takes the path of a socket out of the parameters, and refuses those that are other programs'.
func (a *Address) mysqlSocket(socket string) error {
	query := a.url.Query()
	for _, name := range []string{"socket", "unix_socket"} {
		if path := query.Get(name); path != "" {
			socket = path
		}
		query.Del(name)
	}
	for name, instead := range map[string]string{
		"host":     "put the host before the slash",
		"port":     "put :port after the host",
		"user":     "put the user before an @",
		"password": "put :password after the user",
		"database": "put the database after the slash",
		"dbname":   "put the database after the slash",
		"sslmode":  "use tls=true, skip-verify or preferred",
		"ssl-mode": "use tls=true, skip-verify or preferred",
		"ssl_mode": "use tls=true, skip-verify or preferred",
		"useSSL":   "use tls=true or false",
	} {
		if query.Has(name) {
			return exit.Usagef("the mysql address has the parameter %s, which go-sql-driver does not know: %s", name, instead)
		}
	}
	if socket != "" {
		query.Set("socket", socket)
		a.url.RawQuery = query.Encode()
		a.server, a.socket = socket, true
	}
	return nil
}

// mysqlConfig makes the driver's configuration of an address.
func mysqlConfig(a Address) (*mysql.Config, error) {
	if a.database == "" {
		return nil, errors.New("it names no database: use mysql://user:password@host:port/database")
	}
	query := a.url.Query()
	ca := query.Get("ssl-ca")
	query.Del("ssl-ca")
	query.Del("socket")
	c, err := mysql.ParseDSN("/?" + query.Encode())
	if err != nil {
		return nil, err
	}
	c.TLS = nil // is for another host; the connector makes it again
	if ca != "" {
		if c.TLS, err = trusting(ca); err != nil {
			return nil, err
		}
	}
	c.User = a.url.User.Username()
	c.Passwd, _ = a.url.User.Password()
	c.Addr = a.server
	if a.socket {
		c.Net = "unix"
	}
	c.DBName = a.database
	c.Logger = &mysql.NopLogger{} // errors come back as errors
	return c, nil
}

// trusting trusts what the certificates of a file have signed.
func trusting(name string) (*tls.Config, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("ssl-ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ssl-ca: %s has no certificate in PEM", name)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, nil
}

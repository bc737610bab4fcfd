package open

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/migrations"
)

const schemes = "postgres://user:password@host:port/database, mysql://user:password@host:port/database (also for MariaDB) or sqlite:PATH"

// Address says where the tables are. Its password appears in no text that this package makes.
type Address struct {
	Dialect migrations.Dialect
	path    string // of SQLite's file

	url      *url.URL // of a server; the rest is for servers too
	server   string   // host and port, or the path of a socket
	socket   bool     // it is the path of a socket
	database string
	Secrets  []string // what must not be shown
	fromFile bool     // a configuration file has it
}

// ParseAddress reads --dsn. Its errors say nothing of the text but the scheme: in a malformed address the password can be anywhere.
func ParseAddress(dsn string) (Address, error) {
	dsn = strings.TrimRight(dsn, "\r\n") // of a file that the address was read from
	scheme, rest, found := strings.Cut(dsn, ":")
	if !found || !isScheme(scheme) {
		return Address{}, wrongScheme(dsn, "the address has no scheme")
	}
	a := Address{}
	switch strings.ToLower(scheme) {
	case "postgres", "postgresql":
		a.Dialect = migrations.Postgres
	case "mysql", "mysql2", "mariadb":
		a.Dialect = migrations.MySQL
	case "sqlite", "sqlite3":
		return sqliteAddress(rest)
	default:
		return Address{}, wrongScheme(dsn, fmt.Sprintf("unknown scheme %q in the address", scheme))
	}

	socket := ""
	if a.Dialect == migrations.MySQL {
		var err error
		if dsn, socket, err = mysqlURL(dsn); err != nil {
			return Address{}, exit.Usagef("the %s address: %w", scheme, err)
		}
	}
	parsed, err := url.Parse(dsn)
	if err != nil || !strings.HasPrefix(rest, "//") || !isPlain(parsed) {
		return Address{}, exit.Usagef("the %s address is malformed (it is not shown, because a password may be in it): use %s, "+
			"with special characters of the user and the password percent-encoded, such as %%40 for @, %%2F for / and %%25 for %%",
			scheme, schemes)
	}
	a.url, a.server, a.database = parsed, server(parsed, a.Dialect), strings.TrimPrefix(parsed.Path, "/")
	if password, ok := parsed.User.Password(); ok {
		_, encoded, _ := strings.Cut(parsed.User.String(), ":")
		a.hide(password, encoded)
	}
	if a.Dialect == migrations.MySQL {
		if err := a.mysqlSocket(socket); err != nil {
			return Address{}, err
		}
	}
	for name, values := range parsed.Query() {
		if strings.Contains(strings.ToLower(name), "password") {
			for _, value := range values {
				a.hide(value, url.QueryEscape(value))
			}
		}
	}
	return a, nil
}

// wrongScheme says what is wrong with the scheme of an address, unless it is one as MySQL's driver takes it.
func wrongScheme(dsn, what string) error {
	if strings.Contains(dsn, "@tcp(") || strings.Contains(dsn, "@unix(") {
		return exit.Usagef("the address has no scheme: put mysql:// before it, as in mysql://user:password@tcp(host:port)/database")
	}
	return exit.Usagef("%s: use %s", what, schemes)
}

// isPlain reports whether the parts of an address are what they seem to be. Where a character of the password is not encoded, or one of
// those around it is missing, the password may stand where the host or the database is.
func isPlain(u *url.URL) bool {
	for host := range strings.SplitSeq(u.Host, ",") { // PostgreSQL takes several
		if strings.Count(host, ":") > 1 && !strings.HasPrefix(host, "[") {
			return false
		}
	}
	return u.Fragment == "" && !strings.ContainsAny(strings.TrimPrefix(u.EscapedPath(), "/"), "/:@")
}

func isScheme(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// hide keeps secrets out of the errors that redact makes. A secret that is also the user's name or the like is none.
func (a *Address) hide(secrets ...string) {
	open := []string{"", a.url.User.Username(), a.url.Hostname(), a.database, string(a.Dialect)}
	for _, secret := range secrets {
		if !slices.Contains(open, secret) {
			a.Secrets = append(a.Secrets, secret)
		}
	}
}

// String names the database for errors, without the user and the password.
func (a Address) String() string {
	if a.url == nil {
		return "sqlite file " + a.path
	}
	return fmt.Sprintf("%s at %s, database %q", a.Dialect, a.server, a.database)
}

// server returns the host and port of a URL, with defaults for what is missing.
func server(u *url.URL, dialect migrations.Dialect) string {
	if strings.Contains(u.Host, ",") {
		return u.Host
	}
	port := map[migrations.Dialect]string{migrations.Postgres: "5432", migrations.MySQL: "3306"}[dialect]
	return net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), cmp.Or(u.Port(), port))
}

// checkFile says what to do when the file of SQLite is missing, unless it may be created.
func (a Address) checkFile(create bool) error {
	if a.Dialect != migrations.SQLite || create {
		return nil
	}
	_, err := os.Stat(a.path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no database %s: run sqlqueue migrate up (or give --dsn, SQLQUEUE_DSN or DATABASE_URL)", a.path)
	}
	return err
}

// Redact makes sure that the address's secrets are not in the text of a driver's error.
func (a Address) Redact(err error) error {
	if err == nil || len(a.Secrets) == 0 {
		return err
	}
	return &redacted{err, a.Secrets}
}

type redacted struct {
	err     error
	secrets []string
}

func (r *redacted) Error() string {
	text := r.err.Error()
	for _, secret := range r.secrets {
		text = strings.ReplaceAll(text, secret, "xxxxx")
	}
	return text
}

func (r *redacted) Unwrap() error { return r.err }

// ShownAddress returns an address without what must not be shown, and that.
func ShownAddress(dsn string) (shown string, secrets []string) {
	a, err := ParseAddress(dsn)
	switch {
	case err != nil:
		return "(malformed, and not shown, because a password may be in it)", []string{dsn}
	case a.url == nil:
		return "sqlite:" + a.path, nil
	}
	u := *a.url
	if _, ok := u.User.Password(); ok {
		u.User = url.UserPassword(u.User.Username(), "xxxxx")
	}
	query := u.Query()
	for name, values := range query {
		name := strings.ToLower(name)
		if slices.ContainsFunc([]string{"password", "passwd", "secret", "token"}, func(part string) bool {
			return strings.Contains(name, part)
		}) {
			for i := range values {
				values[i] = "xxxxx"
			}
		}
	}
	u.RawQuery = query.Encode()
	return u.String(), a.Secrets
}

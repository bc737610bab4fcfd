package servers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// A Server is a running database server. It is safe for concurrent use.
type Server struct {
	Engine  string // "postgres", "mariadb" or "mysql"
	Version string // as "17.5" or "10.11.13"
	Way     string // how it was had, for people

	address *url.URL     // of a user who may create databases
	stop    func() error // nil: it is not ours to stop
}

// String is the engine and the version, as "postgres 17.5".
func (s *Server) String() string { return s.Engine + " " + s.Version }

// connect waits until the server at address answers, and finds out its version. It gives up when ctx ends, or when ended, which
// may be nil, says that the server did.
func connect(ctx context.Context, e engine, address *url.URL, ended func() error) (*Server, error) {
	db, err := open(address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()

	full, err := awaitVersion(ctx, db, ended)
	if err != nil {
		return nil, fmt.Errorf("%s is not ready: %w", address.Host, err)
	}
	if !strings.Contains(full, e.inVersion) || (e.notInVersion != "" && strings.Contains(full, e.notInVersion)) {
		return nil, fmt.Errorf("the server at %s is not %s: it says %q", address.Host, e.name, full)
	}
	return &Server{Engine: e.name, Version: versionNumber(full), address: address}, nil
}

func awaitVersion(ctx context.Context, db *sql.DB, ended func() error) (version string, err error) {
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		if err = db.QueryRowContext(ctx, "SELECT version()").Scan(&version); err == nil {
			return version, nil
		}
		if ended != nil {
			if reason := ended(); reason != nil {
				return "", fmt.Errorf("it ended: %w", reason)
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-retry.C:
		}
	}
}

var firstNumber = regexp.MustCompile(`\d+(\.\d+)*`)

// versionNumber takes the number from what a server says of itself, as "PostgreSQL 17.5 (Debian …)" or "10.11.13-MariaDB".
func versionNumber(full string) string { return firstNumber.FindString(full) }

// open opens a postgres:// or mysql:// address. It does not connect.
func open(address *url.URL) (*sql.DB, error) {
	if address.Scheme == "mysql" {
		config, err := mysqlConfig(address)
		if err != nil {
			return nil, err
		}
		connector, err := mysql.NewConnector(config)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(connector), nil
	}
	config, err := pgx.ParseConfig(address.String())
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*config), nil
}

// mysqlConfig is the driver's form of a mysql://user:password@host:port/db address. The query holds the driver's parameters.
func mysqlConfig(address *url.URL) (*mysql.Config, error) {
	config, err := mysql.ParseDSN("/?" + address.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("address of %s: %w", address.Host, err)
	}
	config.Net, config.Addr = "tcp", address.Host
	config.User = address.User.Username()
	config.Passwd, _ = address.User.Password()
	config.DBName = strings.TrimPrefix(address.Path, "/")
	config.Logger = &mysql.NopLogger{} // it prints a line for each try to reach a server that is starting
	return config, nil
}

// parseAddress reads an address of e. Its errors do not show it, because it holds a password.
func parseAddress(e engine, address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		var urlError *url.Error
		if errors.As(err, &urlError) {
			err = urlError.Err
		}
		return nil, fmt.Errorf("%s: %w", e.variable, err)
	}
	if u.Scheme == "postgresql" {
		u.Scheme = "postgres"
	}
	if u.Scheme != e.scheme {
		return nil, fmt.Errorf("%s: an address begins with %s://, not %s://", e.variable, e.scheme, u.Scheme)
	}
	return u, nil
}

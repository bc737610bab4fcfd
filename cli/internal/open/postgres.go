package open

import (
	"context"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

// idleTime is how long a connection is kept that nothing needs. A worker has several at its start, and in rushes, and then needs one or
// two.
const idleTime = 30 * time.Second

// openPostgres opens postgres://user:password@host:port/database. Parameters after ? are pgx's and libpq's: sslmode, connect_timeout,
// pool_max_conns, default_query_exec_mode and so on. What is left out comes from libpq's environment, as for psql. Without an exec mode it
// is one that fits a pooler such as pgbouncer, if one is there.
func openPostgres(a Address, config sqlqueue.Config) (*Database, error) {
	pgConfig, err := postgresConfig(&a)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), pgConfig) // the context is for the pool's first connection only
	if err != nil {
		return nil, err
	}
	queue, err := pgqueue.New(pool, config)
	if err != nil {
		pool.Close()
		return nil, err
	}
	db := stdlib.OpenDBFromPool(pool)
	return &Database{Address: a, Queue: queue, DB: db, Close: func() {
		_ = db.Close()
		pool.Close()
	}}, nil
}

// postgresConfig makes the pool's configuration of an address, and completes the address by it.
func postgresConfig(a *Address) (*pgxpool.Config, error) {
	pgConfig, err := pgxpool.ParseConfig(a.url.String())
	if err != nil {
		return nil, err
	}
	connConfig := pgConfig.ConnConfig
	a.hide(connConfig.Password)
	if a.fromFile && connConfig.Password != "" && connConfig.Password == os.Getenv("PGPASSWORD") && takesClear(connConfig.RequireAuth) {
		connConfig.RequireAuth = "!password"
	}
	a.database = connConfig.Database
	if a.url.Host == "" {
		a.server = net.JoinHostPort(connConfig.Host, strconv.Itoa(int(connConfig.Port)))
	}
	if connConfig.RuntimeParams["application_name"] == "" {
		connConfig.RuntimeParams["application_name"] = "sqlqueue"
	}
	connConfig.RuntimeParams["client_encoding"] = "UTF8" // whatever the database or the role sets
	if !a.url.Query().Has("default_query_exec_mode") {
		pgqueue.DetectPooler(pgConfig)
	}
	if !a.url.Query().Has("pool_max_conn_idle_time") {
		pgConfig.MaxConnIdleTime = idleTime
	}
	return pgConfig, nil
}

// takesClear reports whether a list of require_auth lets a server ask for the password itself. The host that a file names does not get
// PGPASSWORD so: who wrote the file need not be who knows the password.
func takesClear(requireAuth string) bool {
	requireAuth = strings.ReplaceAll(requireAuth, " ", "")
	methods := strings.Split(requireAuth, ",")
	return requireAuth == "" || slices.Contains(methods, "password") ||
		strings.HasPrefix(requireAuth, "!") && !slices.Contains(methods, "!password")
}

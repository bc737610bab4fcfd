// Package opened opens the addresses that workers take, for their handlers.
package opened

import (
	"context"
	"database/sql"
	"net/url"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

// Database is an open database, with its queue.
type Database struct {
	*sql.DB
	Queue *sqlqueue.Queue
	Bind  func(*sqlqueue.Queue, sqldb.Executor) *sqlqueue.Queue // binds it to a transaction of the database
}

// Open opens the address of a migrated database.
func Open(dsn string) (*Database, error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		return openSQLite(path)
	}
	address, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	if address.Scheme == "mysql" {
		return openMySQL(address)
	}
	pool, err := pgxpool.New(context.Background(), dsn)
	if err != nil {
		return nil, err
	}
	queue, err := pgqueue.New(pool, sqlqueue.Config{})
	bind := func(q *sqlqueue.Queue, tx sqldb.Executor) *sqlqueue.Queue { return pgqueue.WithSQLTx(q, tx) }
	return &Database{stdlib.OpenDBFromPool(pool), queue, bind}, err
}

func openMySQL(address *url.URL) (*Database, error) {
	config, err := mysql.ParseDSN("/?" + address.RawQuery)
	if err != nil {
		return nil, err
	}
	config.Net, config.Addr, config.DBName = "tcp", address.Host, strings.TrimPrefix(address.Path, "/")
	config.User = address.User.Username()
	config.Passwd, _ = address.User.Password()
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	queue, err := mysqlqueue.New(db, sqlqueue.Config{})
	return &Database{db, queue, mysqlqueue.WithTx}, err
}

func openSQLite(path string) (*Database, error) {
	const settings = "?_pragma=busy_timeout(30000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate"
	db, err := sql.Open("sqlite", "file:"+path+settings)
	if err != nil {
		return nil, err
	}
	queue, err := sqlitequeue.New(db, sqlqueue.Config{})
	return &Database{db, queue, sqlitequeue.WithTx}, err
}

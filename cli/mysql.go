package cli

import (
	"database/sql"
	"errors"

	"github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
)

// openMySQL opens mysql://user:password@host:port/database, also of MariaDB. Parameters after ? are go-sql-driver's: tls, timeout,
// readTimeout and so on.
func openMySQL(a address, config sqlqueue.Config) (*database, error) {
	driverConfig, err := mysqlConfig(a)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(driverConfig)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	queue, err := mysqlqueue.New(db, config)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return &database{address: a, queue: queue, db: db, close: func() { _ = db.Close() }}, nil
}

// mysqlConfig makes the driver's configuration of an address.
func mysqlConfig(a address) (*mysql.Config, error) {
	if a.database == "" {
		return nil, errors.New("it names no database: use mysql://user:password@host:port/database")
	}
	c, err := mysql.ParseDSN("/?" + a.url.RawQuery)
	if err != nil {
		return nil, err
	}
	c.TLS = nil // is for another host; the connector makes it again
	c.User = a.url.User.Username()
	c.Passwd, _ = a.url.User.Password()
	c.Addr = a.server
	c.DBName = a.database
	c.Logger = &mysql.NopLogger{} // errors come back as errors
	return c, nil
}

// mysqlSettings reads what decides how fast a commit is.
const mysqlSettings = `SHOW VARIABLES WHERE Variable_name IN ('version', 'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog')`

package cli

import (
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
)

// openMySQL opens mysql://user:password@host:port/database, also of MariaDB. Parameters after ? are go-sql-driver's: tls, timeout,
// readTimeout and so on. Besides, ssl-ca is a file with the certificates in PEM of whom a server's may be signed by, instead of the
// system's; with it the connection is TLS and the server's name is checked, whatever tls says.
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
	query := a.url.Query()
	ca := query.Get("ssl-ca")
	query.Del("ssl-ca")
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

// mysqlSettings reads what decides how fast a commit is.
const mysqlSettings = `SHOW VARIABLES WHERE Variable_name IN ('version', 'innodb_flush_log_at_trx_commit', 'log_bin', 'sync_binlog')`

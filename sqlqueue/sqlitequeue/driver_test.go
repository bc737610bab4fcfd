package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"slices"
	"sync/atomic"

	"modernc.org/sqlite"
)

// plainConnector connects through a driver that does no more than it must, asks SQLite as late as it may, and counts the statements that
// are prepared.
type plainConnector struct {
	dsn        string
	statements atomic.Int64
}

func (c *plainConnector) Connect(context.Context) (driver.Conn, error) {
	conn, err := (&sqlite.Driver{}).Open(c.dsn)
	return plainConn{conn, c}, err
}

func (c *plainConnector) Driver() driver.Driver { return &sqlite.Driver{} }

// plainConn hides everything of a connection but driver.Conn.
type plainConn struct {
	driver.Conn
	connector *plainConnector
}

func (c plainConn) Prepare(query string) (driver.Stmt, error) {
	stmt, err := c.Conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	c.connector.statements.Add(1)
	return plainStmt{stmt, c.connector}, nil
}

type plainStmt struct {
	driver.Stmt
	connector *plainConnector
}

func (s plainStmt) Close() error {
	s.connector.statements.Add(-1)
	return s.Stmt.Close()
}

func (s plainStmt) Query(args []driver.Value) (driver.Rows, error) {
	return &lateRows{stmt: s.Stmt, args: slices.Clone(args)}, nil
}

// lateRows are the rows of a query that begins when they are looked at.
type lateRows struct {
	stmt driver.Stmt
	args []driver.Value
	rows driver.Rows
	err  error
}

func (r *lateRows) Columns() []string {
	if r.rows == nil && r.err == nil {
		r.rows, r.err = r.stmt.Query(r.args) //nolint:staticcheck // what a plain driver has
	}
	if r.err != nil {
		return nil
	}
	return r.rows.Columns()
}

func (r *lateRows) Next(dest []driver.Value) error {
	if r.err != nil {
		return r.err
	}
	return r.rows.Next(dest)
}

func (r *lateRows) Close() error {
	if r.rows == nil {
		return nil
	}
	return r.rows.Close()
}

package integration

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// tap is a place to see and change what goes to a server and comes back. Its zero value lets everything pass.
type tap struct {
	// sent is called with each statement, and returns what to send instead, of the same length, or nothing, and then whether the
	// connection lives on: if not, it breaks before the statement or, when there is one, before its answer.
	sent     func(statement string) (send string, stay bool)
	received func(p []byte)

	// lost is called with each statement, and reports whether it is lost on its way, and all that follows, until the connection is closed.
	lost func(statement string) bool
}

// watch lets statements pass after a look at them.
func watch(look func(statement string)) *tap {
	return &tap{sent: func(statement string) (string, bool) {
		look(statement)
		return statement, true
	}}
}

// open opens an address with the tap in its connections.
func (tp *tap) open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		tb.Fatal("the address of the test's database is not one")
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.DBName = "tcp", address.Host, address.Path[1:]
	config.User = address.User.Username()
	config.Passwd, _ = address.User.Password()
	config.InterpolateParams = true // so that every statement is seen as text
	config.Logger = &mysql.NopLogger{}
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &tappedConn{Conn: conn, tap: tp, closed: make(chan struct{})}, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

type tappedConn struct {
	net.Conn
	tap    *tap
	closed chan struct{}
	once   sync.Once
}

func (c *tappedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// Write is called by the driver with whole packets: a length of three bytes, a number, the command (3 for a statement) and its text.
func (c *tappedConn) Write(p []byte) (int, error) {
	const header, query = 4, 3
	if len(p) > header && p[header] == query && c.tap.lost != nil && c.tap.lost(string(p[header+1:])) {
		<-c.closed
		return 0, net.ErrClosed
	}
	if len(p) <= header || p[header] != query || c.tap.sent == nil {
		return c.Conn.Write(p)
	}
	statement := string(p[header+1:])
	send, stay := c.tap.sent(statement)
	if send == "" {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	if len(send) != len(statement) {
		return 0, errors.New("the test changed the length of a statement")
	}
	n, err := c.Conn.Write(append(bytes.Clone(p[:header+1]), send...))
	if !stay {
		var answer [1]byte // the server has done it: only the answer is lost
		_, _ = c.Read(answer[:])
		_ = c.Close()
	}
	return n, err
}

func (c *tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.tap.received != nil {
		c.tap.received(p[:n])
	}
	return n, err
}

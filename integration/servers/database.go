package servers

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// NewDatabase makes an empty database and returns its address, as postgres://user:password@host:port/name or
// mysql://user:password@host:port/name. When the test ends, the database is dropped and connections to it are closed.
func (s *Server) NewDatabase(tb testing.TB) (dsn string) {
	tb.Helper()
	admin, err := open(s.address)
	if err != nil {
		tb.Fatalf("%s: %v", s, err)
	}
	tb.Cleanup(func() { _ = admin.Close() })

	name := "sqlqueue_" + strings.ToLower(rand.Text())
	if _, err := admin.ExecContext(tb.Context(), "CREATE DATABASE "+name); err != nil {
		tb.Fatalf("%s: create a database: %v", s, err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 30*time.Second)
		defer cancel()
		if err := s.drop(ctx, admin, name); err != nil {
			tb.Errorf("%s: drop database %s: %v", s, name, err)
		}
	})

	address := *s.address
	address.Path = "/" + name
	return address.String()
}

// drop drops the database even if a test left connections to it open: they could hold locks that the server would wait for.
func (s *Server) drop(ctx context.Context, admin *sql.DB, name string) error {
	if s.Engine == "postgres" {
		_, err := admin.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		return err
	}
	if err := killConnections(ctx, admin, name); err != nil {
		return err
	}
	_, err := admin.ExecContext(ctx, "DROP DATABASE "+name)
	return err
}

func killConnections(ctx context.Context, admin *sql.DB, database string) error {
	rows, err := admin.QueryContext(ctx, "SELECT id FROM information_schema.processlist WHERE db = ?", database)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var ids []uint64
	for rows.Next() {
		var id uint64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	const noSuchThread = 1094 // it went by itself
	for _, id := range ids {
		_, err := admin.ExecContext(ctx, fmt.Sprintf("KILL %d", id))
		var serverError *mysql.MySQLError
		if errors.As(err, &serverError) && serverError.Number == noSuchThread {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Open opens an address that NewDatabase returned with database/sql. The pool is closed when the test ends.
func (s *Server) Open(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		tb.Fatalf("%s: not an address of NewDatabase", s)
	}
	db, err := open(address)
	if err != nil {
		tb.Fatalf("%s: %v", s, err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

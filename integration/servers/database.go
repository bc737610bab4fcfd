package servers

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
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

func (s *Server) drop(ctx context.Context, admin *sql.DB, name string) error {
	if s.Engine == "postgres" {
		_, err := admin.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		return err
	}
	return errors.Join(closeConnections(ctx, admin, name), dropMySQL(ctx, admin, name))
}

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
)

// host is a server, or for SQLite a directory, in which databases are made.
type host struct {
	engine string
	dsn    string // as the servers' command gives it; SQLite: a directory
	admin  *sql.DB
	logs   *os.File
}

func openHost(engine, dsn string, logs *os.File) (*host, error) {
	h := &host{engine: engine, dsn: dsn, logs: logs}
	var err error
	h.admin, err = h.connect(h.dsn)
	return h, err
}

func (h *host) connect(dsn string) (*sql.DB, error) {
	switch h.engine {
	case postgres:
		return sql.Open("pgx", dsn)
	case mariadb:
		return openMariaDB(dsn)
	default:
		if info, err := os.Stat(dsn); err == nil && info.IsDir() {
			dsn = ":memory:"
		}
		return sql.Open("sqlite", dsn)
	}
}

// stage is a new database, and the processes of a system on it.
type stage struct {
	host     *host
	system   system
	name     string
	dsn      string
	db       *sql.DB // of this program
	meter    *meter
	children []*child
}

var stages atomic.Int32

// open makes a database with the system's tables.
func (h *host) open(ctx context.Context, s system) (st *stage, err error) {
	st = &stage{host: h, system: s, name: fmt.Sprintf("sqlqueue_bench_%d_%d", os.Getpid(), stages.Add(1))}
	if h.engine == sqlite {
		st.dsn = filepath.Join(h.dsn, st.name+".db")
	} else {
		u, err := url.Parse(h.dsn)
		if err != nil {
			return nil, errors.New("the server's address is not a URL")
		}
		u.Path = "/" + st.name
		st.dsn = u.String()
		if _, err := h.admin.ExecContext(ctx, "CREATE DATABASE "+st.name); err != nil {
			return nil, err
		}
	}
	if st.db, err = h.connect(st.dsn); err != nil {
		return st, errors.Join(err, st.close(ctx))
	}
	st.meter = newMeter(ctx, st.db, h.engine)
	return st, nil
}

// start starts a process of the system, which has opened the database. The first makes the tables.
func (st *stage) start(ctx context.Context, variables ...string) (*child, error) {
	c, err := startChild(ctx, st.system, st.host.logs, variables...)
	if err != nil {
		return nil, err
	}
	st.children = append(st.children, c)
	_, err = c.ask(request{Op: "open", DSN: st.dsn, Setup: len(st.children) == 1})
	return c, err
}

// settle gives every system the same start: statistics, and nothing to write back that was written before.
func (st *stage) settle(ctx context.Context) error {
	switch st.host.engine {
	case postgres:
		if _, err := st.db.ExecContext(ctx, "ANALYZE"); err != nil {
			return err
		}
		_, _ = st.db.ExecContext(ctx, "CHECKPOINT") // not everyone may
	case sqlite:
		_, err := st.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		return err
	}
	return nil
}

// left counts the jobs that are not done.
func (st *stage) left(ctx context.Context) (n int, err error) {
	return n, st.db.QueryRowContext(ctx, st.system.left).Scan(&n)
}

func (st *stage) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, c := range st.children {
		errs = append(errs, c.close())
	}
	if st.db != nil {
		errs = append(errs, st.db.Close())
	}
	switch st.host.engine {
	case postgres:
		_, err := st.host.admin.ExecContext(ctx, "DROP DATABASE "+st.name+" WITH (FORCE)")
		errs = append(errs, err)
	case mariadb:
		_, err := st.host.admin.ExecContext(ctx, "DROP DATABASE "+st.name)
		errs = append(errs, err)
	case sqlite:
		for _, suffix := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(st.dsn + suffix)
		}
	}
	return errors.Join(errs...)
}

package main

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
	"github.com/sqlqueue/sqlqueue/worker"
)

const oursLeft = `SELECT count(*) FROM jobs WHERE available_at <= created_at`

// oursFailed makes failed jobs, from numbers n that a source gives.
func oursFailed(now, numbers string) string {
	return `INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at)
SELECT n, 'default', 0, '{"job":"job","data":{"t":1,"pad":"` + pad + `"}}', 25, 'smtp: connection refused', '', ` + now + `, ` + now +
		` FROM ` + numbers
}

// ours is sqlqueue, on any database.
type ours struct {
	queue  *sqlqueue.Queue
	config worker.Config
	close  func()
}

// openOwn makes a database for sqlqueue in this process.
func (h *host) openOwn(ctx context.Context) (*stage, *ours, error) {
	all := systems()
	own := all[slices.IndexFunc(all, func(s system) bool {
		return s.engine == h.engine && strings.HasPrefix(s.name, "sqlqueue") && !s.defaults
	})]
	st, err := h.open(ctx, own)
	if err != nil {
		return nil, nil, err
	}
	opened, err := own.open(ctx, st.dsn, true)
	if err != nil {
		return nil, nil, errors.Join(err, st.close(ctx))
	}
	return st, opened.(*ours), nil
}

func tuned() worker.Config {
	return worker.Config{Concurrency: 1000, Logger: slog.New(slog.DiscardHandler)}
}

func byDefault() worker.Config { return worker.Config{} }

func expiring() worker.Config {
	config := tuned()
	config.Expire = 5 * time.Second
	return config
}

func openPostgres(config func() worker.Config) func(context.Context, string, bool) (queue, error) {
	return func(ctx context.Context, dsn string, setup bool) (queue, error) {
		pool, err := openPool(ctx, dsn, setup)
		if err != nil {
			return nil, err
		}
		q, err := pgqueue.New(pool, sqlqueue.Config{})
		return &ours{q, config(), pool.Close}, err
	}
}

// openPool opens a pool of 20 connections, for all systems in Go, and makes sqlqueue's tables.
func openPool(ctx context.Context, dsn string, setup bool) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 20
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil || !setup {
		return pool, err
	}
	return pool, migrate(ctx, stdlib.OpenDBFromPool(pool), migrations.Postgres)
}

func migrate(ctx context.Context, db *sql.DB, dialect migrations.Dialect) error {
	m, err := migrations.New(db, dialect, "")
	if err != nil {
		return err
	}
	_, err = m.Up(ctx)
	return err
}

func openMySQL(config func() worker.Config) func(context.Context, string, bool) (queue, error) {
	return func(ctx context.Context, dsn string, setup bool) (queue, error) {
		db, err := openDB(ctx, mariadb, dsn, setup)
		if err != nil {
			return nil, err
		}
		q, err := mysqlqueue.New(db, sqlqueue.Config{})
		return &ours{q, config(), func() { _ = db.Close() }}, err
	}
}

func openSQLite(config func() worker.Config) func(context.Context, string, bool) (queue, error) {
	return func(ctx context.Context, dsn string, setup bool) (queue, error) {
		db, err := openDB(ctx, sqlite, dsn, setup)
		if err != nil {
			return nil, err
		}
		q, err := sqlitequeue.New(db, sqlqueue.Config{})
		return &ours{q, config(), func() { _ = db.Close() }}, err
	}
}

func (o *ours) Push(ctx context.Context, jobs []args, delay time.Duration) error {
	if len(jobs) == 1 {
		_, err := o.queue.Push(ctx, jobs[0], sqlqueue.Delay(delay))
		return err
	}
	many := make([]sqlqueue.Pushable, len(jobs))
	for i, job := range jobs {
		many[i] = job
	}
	_, err := o.queue.PushMany(ctx, many, sqlqueue.Delay(delay))
	return err
}

func (o *ours) Work(ctx context.Context, concurrency int, handle func(args)) error {
	config := o.config
	if concurrency > 0 {
		config.Concurrency = concurrency
	}
	mux := worker.NewMux()
	worker.Handle(mux, func(_ context.Context, job *worker.Job[args]) error {
		handle(job.Data)
		return nil
	})
	return worker.New(o.queue, mux, config).Run(ctx)
}

func (o *ours) Close() { o.close() }

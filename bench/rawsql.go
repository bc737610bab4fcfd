package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/migrations"
)

// bareSQL is the bare loop for MariaDB and SQLite.
type bareSQL struct {
	db     *sql.DB
	engine string
}

func openDB(ctx context.Context, engine, dsn string, setup bool) (*sql.DB, error) {
	var db *sql.DB
	var err error
	dialect := migrations.MySQL
	if engine == sqlite {
		dialect = migrations.SQLite
		db, err = sql.Open("sqlite",
			dsn+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_pragma=synchronous(NORMAL)&_txlock=immediate")
	} else {
		db, err = openMariaDB(dsn)
	}
	if err != nil || !setup {
		return db, err
	}
	return db, migrate(ctx, db, dialect)
}

// openMariaDB takes an address mysql://user:password@host:port/db.
func openMariaDB(dsn string) (*sql.DB, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, err
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.DBName, config.User = "tcp", u.Host, strings.TrimPrefix(u.Path, "/"), u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.InterpolateParams = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(20)
	return db, nil
}

func openBareMySQL(ctx context.Context, dsn string, setup bool) (queue, error) {
	db, err := openDB(ctx, mariadb, dsn, setup)
	return &bareSQL{db, mariadb}, err
}

func openBareSQLite(ctx context.Context, dsn string, setup bool) (queue, error) {
	db, err := openDB(ctx, sqlite, dsn, setup)
	return &bareSQL{db, sqlite}, err
}

func (b *bareSQL) Push(ctx context.Context, jobs []args, delay time.Duration) error {
	list, err := payloads(jobs)
	if err != nil {
		return err
	}
	if b.engine == sqlite {
		array, err := json.Marshal(list)
		if err != nil {
			return err
		}
		now := time.Now().UnixMicro()
		_, err = b.db.ExecContext(ctx,
			`INSERT INTO jobs (queue, payload, available_at, created_at) SELECT 'default', value, ?, ? FROM json_each(?)`,
			now+delay.Microseconds(), now, string(array))
		return err
	}
	values := make([]any, 0, 2*len(list))
	for _, payload := range list {
		values = append(values, payload, delay.Microseconds())
	}
	_, err = b.db.ExecContext(ctx, `INSERT INTO jobs (queue, payload, available_at) VALUES `+
		strings.TrimSuffix(strings.Repeat(`('default', ?, UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND),`, len(list)), ","), values...)
	return err
}

func (b *bareSQL) Work(ctx context.Context, _ int, handle func(args)) error {
	if b.engine == sqlite {
		return b.loop(ctx, handle)
	}
	var wg sync.WaitGroup
	var errs [bareLoops]error
	for i := range errs {
		wg.Go(func() { errs[i] = b.loop(ctx, handle) })
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

const beginning = "2000-01-01"

func (b *bareSQL) loop(ctx context.Context, handle func(args)) error {
	var done []any
	mark := beginning
	for {
		last := ctx.Err() != nil
		reserved, jobs, err := b.exchange(context.WithoutCancel(ctx), done, !last, &mark)
		if err != nil || last && len(done) == 0 {
			return err
		}
		for _, job := range jobs {
			handle(job)
		}
		if done = reserved; len(done) == 0 {
			mark = beginning
			wait(ctx, time.Millisecond)
		}
	}
}

const bareReserveSQLite = `
UPDATE jobs SET reserved = 1, attempts = attempts + 1, reserved_at = ?1, reserved_by = 'bare', expires_at = ?1 + 60000000
WHERE id IN (SELECT id FROM jobs WHERE queue = 'default' AND priority = 0 AND NOT reserved AND available_at <= ?1
             ORDER BY available_at, id LIMIT 1000)
RETURNING id, available_at, payload`

const bareSelectMySQL = `
SELECT id, available_at, payload FROM jobs FORCE INDEX (jobs_ready)
WHERE queue = 'default' AND priority = 0 AND reserved = 0 AND available_at >= ? AND available_at <= UTC_TIMESTAMP(6)
ORDER BY available_at, id LIMIT 1000 FOR UPDATE SKIP LOCKED`

// MariaDB has no UPDATE … RETURNING.
const bareReserveMySQL = `
UPDATE jobs SET reserved = 1, attempts = attempts + 1, reserved_at = UTC_TIMESTAMP(6), reserved_by = 'bare',
    expires_at = UTC_TIMESTAMP(6) + INTERVAL 60 SECOND
WHERE id IN (`

func (b *bareSQL) exchange(ctx context.Context, done []any, reserve bool, mark *string) (ids []any, jobs []args, err error) {
	options := &sql.TxOptions{}
	if b.engine == mariadb {
		options.Isolation = sql.LevelReadCommitted
	}
	tx, err := b.db.BeginTx(ctx, options)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = tx.Rollback() }()
	if len(done) > 0 {
		if _, err := tx.ExecContext(ctx, `DELETE FROM jobs WHERE id IN (`+marks(len(done)), done...); err != nil {
			return nil, nil, err
		}
	}
	if reserve {
		if ids, jobs, err = b.reserve(ctx, tx, mark); err != nil {
			return nil, nil, err
		}
	}
	return ids, jobs, tx.Commit()
}

func (b *bareSQL) reserve(ctx context.Context, tx *sql.Tx, mark *string) (ids []any, jobs []args, err error) {
	query, values := bareSelectMySQL, []any{*mark}
	if b.engine == sqlite {
		query, values = bareReserveSQLite, []any{time.Now().UnixMicro()}
	}
	rows, err := tx.QueryContext(ctx, query, values...)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id int64
		var at string
		var payload sql.RawBytes
		if err := rows.Scan(&id, &at, &payload); err != nil {
			return nil, nil, err
		}
		var p struct{ Data args }
		if err := json.Unmarshal(payload, &p); err != nil {
			return nil, nil, err
		}
		*mark = max(*mark, at)
		ids, jobs = append(ids, id), append(jobs, p.Data)
	}
	if err := rows.Err(); err != nil {
		return nil, nil, err
	}
	if b.engine == mariadb && len(ids) > 0 {
		_, err = tx.ExecContext(ctx, bareReserveMySQL+marks(len(ids)), ids...)
	}
	return ids, jobs, err
}

func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?,", n), ",") + ")" }

func (b *bareSQL) Close() { _ = b.db.Close() }

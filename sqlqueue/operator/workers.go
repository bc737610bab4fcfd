package operator

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// aliveFor is how long ago a worker that runs can have written its row, which it does every 5 s, or 12 s if it is one of many
// that are idle.
const aliveFor = 30 * time.Second

// Worker is a worker that has registered.
type Worker struct {
	driver.Worker
	Dead bool `json:"dead"` // it has not written its row for 30 s, though it does so every 5 s, or 12 s
}

// Workers returns the workers that have registered, by start. A worker that ends takes itself off; one that was killed is dead for some
// minutes before it is taken off.
func (o *Operator) Workers(ctx context.Context) ([]Worker, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("workers", err)
	}
	workers, err := t.workers(ctx)
	return workers, wrap("workers", err)
}

// SetConcurrency tells a worker to run so many handlers at once instead of what it was started with; 0: that again. The worker does so
// within two seconds, or eight if more than ten workers are idle. The error is ErrNoWorker if there is no such worker.
func (o *Operator) SetConcurrency(ctx context.Context, worker string, n int) error {
	t, err := o.open(ctx)
	if err != nil {
		return wrap("set concurrency", err)
	}
	const most = 1 << 20
	if n < 0 || n > most {
		return wrap("set concurrency", fmt.Errorf("concurrency is %d: it must be between 1 and %d, or 0 for the worker's own", n, most))
	}
	found, err := t.changeWorker(ctx, worker, n)
	if err == nil && !found {
		err = fmt.Errorf("%q: %w", worker, ErrNoWorker)
	}
	return wrap("set concurrency", err)
}

// changeWorker writes the concurrency that is wanted of a worker, and reports whether there is such a worker. It counts by a
// SELECT: MySQL does not count a row that an UPDATE leaves as it was.
func (t *tables) changeWorker(ctx context.Context, id string, wanted int) (found bool, err error) {
	err = t.Tx(ctx, change{"set concurrency", "", map[string]any{"worker": id, "concurrency": wanted}}, func(db sqldb.DB) (int, error) {
		found = false
		s := t.statement("SELECT id FROM %s", t.Table("job_workers"))
		s.Add(" WHERE id = %s %s", s.Arg(id), t.Dialect.ForUpdate)
		if err := s.Each(ctx, db, func(func(...any) error) error { found = true; return nil }); err != nil || !found {
			return 0, err
		}
		s = t.statement("UPDATE %s SET wanted_concurrency = ", t.Table("job_workers"))
		s.Add("%s", s.Arg(sql.NullInt64{Int64: int64(wanted), Valid: wanted > 0}))
		s.Add(" WHERE id = %s", s.Arg(id))
		_, err := s.Exec(ctx, db)
		return 1, err
	})
	return found, err
}

// workers returns the rows of the workers, by start.
func (t *tables) workers(ctx context.Context) ([]Worker, error) {
	now, err := t.Clock(ctx) // it has written their rows
	if err != nil {
		return nil, err
	}
	s := t.statement("SELECT id, name, host, pid, queues, concurrency, wanted_concurrency, %s, %s, version, status, busy, memory, running"+
		" FROM %s ORDER BY started_at, id",
		fmt.Sprintf(t.Dialect.Micros, "started_at"), fmt.Sprintf(t.Dialect.Micros, "seen_at"), t.Table("job_workers"))
	var workers []Worker
	err = s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var w Worker
		var queues string
		var running []byte
		err := scan(sqldb.Reading(&w.ID, &w.Name, &w.Host, &w.PID, &queues, &w.Concurrency, &w.WantedConcurrency, &w.StartedAt, &w.SeenAt,
			&w.Version, &w.Status, &w.Busy, &w.Memory, &running)...)
		w.Running = []driver.Running{}
		if len(running) > 0 && json.Unmarshal(running, &w.Running) != nil {
			w.Running = []driver.Running{}
		}
		w.Queues, w.Dead = strings.Split(queues, ","), now.Sub(w.SeenAt) > aliveFor
		workers = append(workers, w)
		return err
	})
	return workers, err
}

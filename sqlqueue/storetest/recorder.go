package storetest

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// recorder is a Store that writes down what goes through it. The database's packages find their own store under it by Unwrap.
type recorder struct {
	driver.Store
	history *history
	tx      *recordedTx // nil: not bound to a transaction
}

// recordedTx keeps what happened in a caller's transaction until its end.
type recordedTx struct {
	Tx
	history *history
	begin   int64
	events  []event
}

// Unwrap returns the store that is recorded.
func (r *recorder) Unwrap() driver.Store { return r.Store }

// record returns q with a recorder over its store.
func record(h *history, q *sqlqueue.Queue, tx *recordedTx) *sqlqueue.Queue {
	return q.Bind(func(s driver.Store) (driver.Store, error) { return &recorder{Store: s, history: h, tx: tx}, nil })
}

func (r *recorder) add(begin int64, events ...event) {
	if r.tx != nil {
		r.tx.events = append(r.tx.events, events...)
		return
	}
	r.history.add(begin, events...)
}

func (t *recordedTx) Commit(ctx context.Context) error {
	err := t.Tx.Commit(ctx)
	if err == nil {
		t.history.add(t.begin, t.events...)
	}
	return err
}

func (r *recorder) Push(ctx context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	begin := r.history.tick()
	answer, err := r.Store.Push(ctx, jobs)
	switch {
	case errors.Is(err, sqlqueue.ErrOutcomeUnknown):
		r.add(begin, event{what: unknown})
	case err == nil && len(answer) != len(jobs):
		r.history.complain("a push of %d jobs was answered with %d ids", len(jobs), len(answer))
	}
	for _, p := range answer {
		if !p.Duplicate && !p.Replaced {
			r.add(begin, event{what: pushed, id: p.ID})
		}
	}
	return answer, err
}

func (r *recorder) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	begin, start := r.history.tick(), time.Now()
	answer, err := r.Store.Exchange(ctx, x)
	took := time.Since(start)
	events := exchanged(x, answer, err)
	for i := range events {
		events[i].took = took
	}
	r.add(begin, events...)
	if err == nil {
		for _, wrong := range checkAnswer(x, answer) {
			r.history.complain("%s", wrong)
		}
	}
	return answer, err
}

func (r *recorder) Hold(ctx context.Context, reservation sqlqueue.Reservation) error {
	begin := r.history.tick()
	err := r.Store.Hold(ctx, reservation)
	if err == nil {
		r.add(begin, event{what: held, id: reservation.ID, by: reservation.By})
	}
	return err
}

// SQL returns the store's database, with a record of what operators change in it.
func (r *recorder) SQL() *sqldb.Database {
	database := *r.Store.(sqldb.Store).SQL()
	tx := database.Tx
	database.Tx = func(ctx context.Context, f func(sqldb.DB) error) error {
		begin := r.history.tick()
		var changes *changes
		err := tx(ctx, func(db sqldb.DB) error {
			changes = newChanges(db, &database)
			return f(changes)
		})
		switch {
		case errors.Is(err, sqlqueue.ErrOutcomeUnknown):
			r.add(begin, event{what: unknown})
		case err == nil:
			r.add(begin, changes.events()...)
		}
		return err
	}
	return &database
}

// changes are what an operator's transaction changes, as its statements say.
type changes struct {
	sqldb.DB
	jobs, failed     string // names of tables
	cancelled, freed []int64
	removed, retried int
}

func newChanges(db sqldb.DB, database *sqldb.Database) *changes {
	return &changes{DB: db, jobs: database.Table("jobs"), failed: database.Table("failed_jobs")}
}

func (c *changes) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	n, err := c.DB.Exec(ctx, query, args...)
	if err != nil {
		return n, err
	}
	statement, condition, _ := strings.Cut(query, " WHERE ")
	has := func(verb, table string) bool {
		return strings.HasPrefix(statement, verb) && strings.Contains(statement, table)
	}
	switch ids := lastIDs(condition, args); {
	case has("DELETE", c.jobs):
		c.cancelled = append(c.cancelled, ids...)
	case has("UPDATE", c.jobs) && strings.Contains(statement, "reserved_by = NULL"):
		c.freed = append(c.freed, ids...)
	case has("INSERT", c.jobs):
		c.retried += int(n)
	case has("DELETE", c.failed):
		c.removed += int(n)
	}
	return n, err
}

// lastIDs are the arguments of a statement's condition.
func lastIDs(condition string, args []any) []int64 {
	n := strings.Count(condition, "?") + strings.Count(condition, "$")
	var ids []int64
	for _, arg := range args[len(args)-min(n, len(args)):] {
		if id, ok := arg.(int64); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

func (c *changes) events() []event {
	var events []event
	for _, id := range c.cancelled {
		events = append(events, event{what: cancelled, id: id})
	}
	for _, id := range c.freed {
		events = append(events, event{what: freed, id: id})
	}
	switch {
	case c.retried > 0:
		events = append(events, event{what: retried, count: c.retried})
	case c.removed > 0:
		events = append(events, event{what: forgotten, count: c.removed})
	}
	return events
}

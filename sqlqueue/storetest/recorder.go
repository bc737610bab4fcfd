package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// recorder is a Store that writes down what goes through it. The database's packages find their own store under it by Unwrap.
type recorder struct {
	sqlqueue.Store
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
func (r *recorder) Unwrap() sqlqueue.Store { return r.Store }

// record returns q with a recorder over its store.
func record(h *history, q *sqlqueue.Queue, tx *recordedTx) *sqlqueue.Queue {
	return q.Bind(func(s sqlqueue.Store) (sqlqueue.Store, error) { return &recorder{Store: s, history: h, tx: tx}, nil })
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

func (r *recorder) Push(ctx context.Context, jobs []sqlqueue.NewJob) ([]sqlqueue.Pushed, error) {
	begin := r.history.tick()
	answer, err := r.Store.Push(ctx, jobs)
	switch {
	case errors.Is(err, sqlqueue.ErrOutcomeUnknown):
		r.add(begin, event{what: unknown})
	case err == nil && len(answer) != len(jobs):
		r.history.complain("a push of %d jobs was answered with %d ids", len(jobs), len(answer))
	}
	for _, p := range answer {
		if !p.Duplicate {
			r.add(begin, event{what: pushed, id: p.ID})
		}
	}
	return answer, err
}

func (r *recorder) Exchange(ctx context.Context, x sqlqueue.Exchange) (sqlqueue.Exchanged, error) {
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

func (r *recorder) ChangeJobs(ctx context.Context, f sqlqueue.JobFilter, c sqlqueue.JobChange) ([]int64, error) {
	begin := r.history.tick()
	ids, err := r.Store.ChangeJobs(ctx, f, c)
	if errors.Is(err, sqlqueue.ErrOutcomeUnknown) {
		r.add(begin, event{what: unknown})
	}
	if err != nil {
		return ids, err
	}
	for _, id := range ids {
		switch {
		case c.Delete:
			r.add(begin, event{what: cancelled, id: id})
		case c.Release:
			r.add(begin, event{what: freed, id: id})
		}
	}
	return ids, nil
}

func (r *recorder) ChangeFailed(ctx context.Context, f sqlqueue.FailedFilter, c sqlqueue.FailedChange) ([]int64, []sqlqueue.Duplicate, error) {
	begin := r.history.tick()
	ids, left, err := r.Store.ChangeFailed(ctx, f, c)
	how := map[sqlqueue.FailedChange]what{sqlqueue.RetryFailed: retried, sqlqueue.ForgetFailed: forgotten}[c]
	switch {
	case errors.Is(err, sqlqueue.ErrOutcomeUnknown):
		r.add(begin, event{what: unknown})
	case err == nil && len(ids) > 0:
		r.add(begin, event{what: how, count: len(ids)})
	}
	return ids, left, err
}

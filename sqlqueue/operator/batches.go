package operator

import (
	"context"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Batch is a batch, and how far it is.
type Batch struct {
	driver.Batch
	Waiting int64 `json:"waiting"`
	Running int64 `json:"running"`
	Failed  int64 `json:"failed"`
	Done    int64 `json:"done"` // those of Total that are nothing of these
}

// State says in a word how the batch does.
func (b Batch) State() string {
	switch {
	case !b.SucceededAt.IsZero():
		return "succeeded"
	case !b.ClosedAt.IsZero():
		return "cancelled"
	case !b.FinishedAt.IsZero():
		return "finished"
	case b.SealedAt.IsZero():
		return "open"
	}
	return "running"
}

// Batches returns the newest batches, at most so many (0: 100, at most 1,000), with an id less than before if that is not 0.
func (o *Operator) Batches(ctx context.Context, before int64, limit int) ([]Batch, error) {
	t, err := o.open(ctx)
	if err == nil {
		err = checkFilter(&limit, nil)
	}
	if err != nil {
		return nil, wrap("batches", err)
	}
	s := t.statement("SELECT id FROM %s", t.Table("job_batches"))
	if before != 0 {
		s.Add(" WHERE id < %s", s.Arg(before))
	}
	s.Add(" ORDER BY id DESC LIMIT %d", limit)
	var ids []int64
	if err := s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	}); err != nil {
		return nil, wrap("batches", err)
	}
	batches := make([]Batch, len(ids))
	for i, id := range ids {
		if batches[i], err = t.batch(ctx, id); err != nil {
			return nil, wrap("batches", err)
		}
	}
	return batches, nil
}

// Batch returns one batch, or sqlqueue.ErrNoBatch.
func (o *Operator) Batch(ctx context.Context, id int64) (Batch, error) {
	t, err := o.open(ctx)
	if err != nil {
		return Batch{}, wrap("batch", err)
	}
	b, err := t.batch(ctx, id)
	return b, wrap("batch", err)
}

// CancelBatch closes a batch, so that it pushes no callback any more, and deletes its jobs that wait; those that run go on. It returns how
// many were deleted. The error is sqlqueue.ErrBatchEnded if it has succeeded or was cancelled before.
func (o *Operator) CancelBatch(ctx context.Context, id int64, progress ...func(deleted int)) (int, error) {
	t, err := o.open(ctx)
	if err != nil {
		return 0, wrap("cancel batch", err)
	}
	b, err := t.Batch(ctx, id)
	if err == nil && !b.ClosedAt.IsZero() {
		err = fmt.Errorf("batch %d: %w", id, sqlqueue.ErrBatchEnded)
	}
	if err != nil {
		return 0, wrap("cancel batch", err)
	}
	if err := t.Tx(ctx, change{"cancel batch", b.Queue, map[string]any{"batch": id}}, func(db sqldb.DB) (int, error) {
		s := t.statement("UPDATE %s SET", t.Table("job_batches"))
		s.Add(" closed_at = %s", s.Now())
		s.Add(" WHERE id = %s AND closed_at IS NULL", s.Arg(id))
		n, err := s.Exec(ctx, db)
		return int(n), err
	}); err != nil {
		return 0, wrap("cancel batch", err)
	}
	return o.Clear(ctx, b.Queue, false, progress...)
}

// batch reads a batch and counts its jobs.
func (t *tables) batch(ctx context.Context, id int64) (b Batch, err error) {
	if b.Batch, err = t.Batch(ctx, id); err != nil {
		return b, err
	}
	s := t.statement("SELECT count(CASE WHEN NOT reserved THEN 1 END), count(CASE WHEN reserved THEN 1 END) FROM %s%s",
		t.Table("jobs"), t.Force("jobs_ready"))
	if t.Dialect.Waiting != "" { // indexes of their own have those that wait and those that run
		s = t.statement("SELECT (SELECT count(*) FROM %s", t.Table("jobs"))
		s.Add(" WHERE queue = %s%s), (SELECT count(*) FROM %s", s.Arg(b.Queue), t.Dialect.Waiting, t.Table("jobs"))
		s.Add(" WHERE queue = %s AND reserved AND %s)", s.Arg(b.Queue), t.Dialect.Level)
	} else {
		s.Add(" WHERE queue = %s", s.Arg(b.Queue))
	}
	if err := s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(&b.Waiting, &b.Running) }); err != nil {
		return b, err
	}
	s = t.statement("SELECT count(*) FROM %s", t.Table("failed_jobs"))
	s.Add(" WHERE queue = %s", s.Arg(b.Queue))
	if err := s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(&b.Failed) }); err != nil {
		return b, err
	}
	b.Done = max(b.Total-b.Waiting-b.Running-b.Failed, 0)
	return b, nil
}

package operator

import (
	"cmp"
	"context"
	"errors"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Queue returns the Operator's Queue. If the Operator is one of As, what the Queue pushes and which schedules and batches it makes is
// written into the table of operations, in the same transaction. Use it for what people push, and the Queue itself for what programs do.
func (o *Operator) Queue() *sqlqueue.Queue { return o.recording(nil) }

// recording is Queue, whose pushes are recorded as c if that is not nil.
func (o *Operator) recording(c *change) *sqlqueue.Queue {
	if o.who == "" {
		return o.queue
	}
	return o.queue.Bind(func(s driver.Store) (driver.Store, error) { return o.record(s, c) })
}

func (o *Operator) record(s driver.Store, c *change) (driver.Store, error) {
	all, err := recordable(s)
	if err != nil {
		return nil, err
	}
	return &recorder{Store: s, Scheduler: all, Batcher: all, o: o, as: c}, nil
}

// recorded is a store whose changes can be recorded.
type recorded interface {
	sqldb.Store
	driver.Scheduler
	driver.Batcher
}

func recordable(s driver.Store) (recorded, error) {
	all, ok := driver.As[recorded](s)
	if !ok {
		return nil, errors.New("the queue's store has no SQL database, or keeps no schedules and batches: its changes cannot be recorded")
	}
	return all, nil
}

// recorder is a store that records its changes as operations.
type recorder struct {
	driver.Store
	driver.Scheduler
	driver.Batcher
	o  *Operator
	as *change // nil: each says what it is
}

// Unwrap returns the store that makes the changes.
func (r *recorder) Unwrap() driver.Store { return r.Store }

// Bind is called by sqlqueue.Queue.Bind: what is done in a transaction of the caller is recorded there.
func (r *recorder) Bind(bind func(driver.Store) (driver.Store, error)) (driver.Store, error) {
	bound, err := bind(r.Store)
	if err != nil {
		return nil, err
	}
	return r.o.record(bound, r.as)
}

// within runs a change by the store that is bound to a transaction, and records it there. F returns how many rows it has changed.
func (r *recorder) within(ctx context.Context, f func(recorded) (change, int, error)) error {
	database, err := sqldb.Of(r.Store)
	if err != nil {
		return err
	}
	return database.Within(ctx, func(s sqldb.Store) error {
		bound, err := recordable(s)
		if err != nil {
			return err
		}
		c, affected, err := f(bound)
		if err != nil || affected == 0 {
			return err
		}
		if r.as != nil {
			c = *r.as
		}
		return (&tables{bound.SQL(), r.o.who, r.o.via}).record(ctx, bound.SQL().DB, c, affected)
	})
}

// Push implements driver.Store.
func (r *recorder) Push(ctx context.Context, jobs []driver.NewJob) (pushed []driver.Pushed, err error) {
	err = r.within(ctx, func(s recorded) (c change, n int, err error) {
		pushed, err = s.Push(ctx, jobs)
		c, n = pushes(jobs, pushed, nil)
		return c, n, err
	})
	return pushed, err
}

// SetSchedule implements driver.Scheduler.
func (r *recorder) SetSchedule(ctx context.Context, of driver.Schedule, moved bool) error {
	return r.within(ctx, func(s recorded) (change, int, error) {
		target := conditions(map[string]any{
			"name": of.Name, "cron": of.Cron, "every": of.Every, "zone": of.Zone, "job": nameOf(of.Payload),
		})
		return change{"set schedule", of.Queue, target}, 1, s.SetSchedule(ctx, of, moved)
	})
}

// CreateBatch implements driver.Batcher.
func (r *recorder) CreateBatch(ctx context.Context, name string) (b driver.Batch, err error) {
	err = r.within(ctx, func(s recorded) (change, int, error) {
		b, err = s.CreateBatch(ctx, name)
		return change{"create batch", b.Queue, map[string]any{"batch": b.ID}}, 1, err
	})
	return b, err
}

// PushBatch implements driver.Batcher.
func (r *recorder) PushBatch(ctx context.Context, id int64, jobs []driver.NewJob) (pushed []driver.Pushed, err error) {
	err = r.within(ctx, func(s recorded) (c change, n int, err error) {
		pushed, err = s.PushBatch(ctx, id, jobs)
		c, n = pushes(jobs, pushed, map[string]any{"batch": id})
		return c, n, err
	})
	return pushed, err
}

// SealBatch implements driver.Batcher.
func (r *recorder) SealBatch(ctx context.Context, b driver.Batch, look driver.BatchLook) (pushed []driver.NewJob, err error) {
	err = r.within(ctx, func(s recorded) (change, int, error) {
		pushed, err = s.SealBatch(ctx, b, look)
		return change{"seal batch", b.Queue, map[string]any{"batch": b.ID}}, 1, err
	})
	return pushed, err
}

// pushes says what was pushed, without the jobs' data, and how many jobs: those that were duplicates are left out.
func pushes(jobs []driver.NewJob, pushed []driver.Pushed, target map[string]any) (change, int) {
	if target == nil {
		target = map[string]any{}
	}
	var ids []int64
	queues, names := map[string]bool{}, map[string]bool{}
	queue, name := "", ""
	for i, p := range pushed {
		if p.Duplicate {
			continue
		}
		ids = append(ids, p.ID)
		queue, name = jobs[i].Queue, cmp.Or(nameOf(jobs[i].Payload), "?")
		queues[queue], names[name] = true, true
	}
	target["ids"] = ids
	if len(names) == 1 {
		target["name"] = name
	}
	if len(queues) != 1 {
		queue = ""
	}
	return change{"push", queue, target}, len(ids)
}

package sqldb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Once reports whether a push has a key that is held for a time. Such a push is made in a transaction, between TakeOnce and KeepOnce.
func Once(jobs []driver.NewJob) bool {
	return slices.ContainsFunc(jobs, func(j driver.NewJob) bool { return j.UniqueKey != "" && j.Once > 0 })
}

// TakeOnce locks the rows of the jobs' keys in job_once until the end of the transaction, so that a push of the same key waits for it. A
// job whose key is held already becomes a duplicate in pushed. Every producer locks keys in the same order.
func (d *Database) TakeOnce(ctx context.Context, db DB, jobs []driver.NewJob, pushed []driver.Pushed) error {
	for _, i := range onceInOrder(jobs) {
		holder, held, err := d.takeOnce(ctx, db, jobs[i])
		if err != nil {
			return err
		}
		if held {
			pushed[i] = driver.Pushed{ID: holder, Duplicate: true}
		}
	}
	return nil
}

// onceInOrder are the indexes of the jobs with a Once.
func onceInOrder(jobs []driver.NewJob) (which []int) {
	for i := range jobs {
		if Once(jobs[i : i+1]) {
			which = append(which, i)
		}
	}
	slices.SortStableFunc(which, func(a, b int) int {
		return cmp.Or(cmp.Compare(jobs[a].Queue, jobs[b].Queue), cmp.Compare(jobs[a].UniqueKey, jobs[b].UniqueKey))
	})
	return which
}

// takeOnce locks the row of a key. It creates the row first: on MySQL, locking a missing row locks a gap, which several transactions can do
// at once, and then they block each other's INSERTs.
func (d *Database) takeOnce(ctx context.Context, db DB, job driver.NewJob) (holder int64, held bool, err error) {
	const tries = 10 // a worker may delete the row in between
	for range tries {
		s := d.Statement("INSERT INTO %s (queue, unique_key, held_until) VALUES (", d.Table("job_once"))
		s.Add("%s, %s, ", s.Arg(job.Queue), s.Arg(job.UniqueKey))
		s.Add("%s)%s", s.Now(), d.Dialect.OnConflict)
		if _, err := s.Exec(ctx, db); err != nil {
			return 0, false, err
		}
		locked := false
		s = d.Statement("SELECT job_id, held_until > %s FROM %s", d.clock(), d.Table("job_once"))
		s.Add(" WHERE queue = %s AND unique_key = %s %s", s.Arg(job.Queue), s.Arg(job.UniqueKey), d.Dialect.ForUpdate)
		if err := s.Each(ctx, db, func(scan func(...any) error) error { locked = true; return scan(&holder, &held) }); err != nil ||
			locked {
			return holder, held, err
		}
	}
	return 0, false, errors.New("the row of the unique key in job_once was deleted again and again by other transactions")
}

// clock is the time now, as the tables keep times.
func (d *Database) clock() string {
	return cmp.Or(d.Dialect.Now, fmt.Sprintf(d.Dialect.Time, fmt.Sprint(time.Now().UnixMicro())))
}

// KeepOnce writes for how long the keys of the jobs that were pushed are held.
func (d *Database) KeepOnce(ctx context.Context, db DB, jobs []driver.NewJob, pushed []driver.Pushed) error {
	for _, i := range onceInOrder(jobs) {
		if pushed[i].Duplicate {
			continue
		}
		s := d.Statement("UPDATE %s SET ", d.Table("job_once"))
		s.Add("job_id = %s, ", s.Arg(pushed[i].ID))
		s.Add("held_until = %s", s.After(jobs[i].Once))
		s.Add(" WHERE queue = %s AND unique_key = %s", s.Arg(jobs[i].Queue), s.Arg(jobs[i].UniqueKey))
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

// deleteOnce deletes rows of keys whose time has passed: at most a thousand, except those that another transaction has locked.
func (d *Database) deleteOnce(ctx context.Context, db DB) error {
	var old []int64
	s := d.Statement("SELECT id FROM %s%s", d.Table("job_once"), d.Force("job_once_until"))
	s.Add(" WHERE held_until < %s ORDER BY held_until LIMIT 1000 %s", s.Ago(0), d.Dialect.SkipLocked)
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		old = append(old, id)
		return err
	}); err != nil {
		return err
	}
	for ids := range slices.Chunk(old, 500) {
		if err := d.Delete(ctx, db, "job_once", ids); err != nil {
			return err
		}
	}
	return nil
}

package sqldb

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// mostBatches is how many batches one look goes through.
const mostBatches = 200

var _ driver.Batcher = (*Database)(nil)

// CreateBatch implements driver.Batcher. The queue's name contains the batch's id, which is known only after the INSERT.
func (d *Database) CreateBatch(ctx context.Context, name string) (b driver.Batch, err error) {
	err = d.Tx(ctx, func(db DB) error {
		interim := "b-" + rand.Text()
		s := d.Statement("INSERT INTO %s (queue, name, created_at) VALUES ", d.Table("job_batches"))
		s.Add("(%s, %s, ", s.Arg(interim), s.Arg(name))
		s.Add("%s)", s.Now())
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
		s = d.Statement("SELECT id FROM %s", d.Table("job_batches"))
		s.Add(" WHERE queue = %s", s.Arg(interim))
		if err := s.Each(ctx, db, func(scan func(...any) error) error { return scan(&b.ID) }); err != nil {
			return err
		}
		b.Name, b.Queue = name, name+"/b"+strconv.FormatInt(b.ID, 10)
		return d.changeBatch(ctx, db, b.ID, func(s *Statement) { s.Add("queue = %s", s.Arg(b.Queue)) })
	})
	return b, err
}

// changeBatch changes a row by its id.
func (d *Database) changeBatch(ctx context.Context, db DB, id int64, set func(s *Statement)) error {
	s := d.Statement("UPDATE %s SET ", d.Table("job_batches"))
	set(s)
	s.Add(" WHERE id = %s", s.Arg(id))
	_, err := s.Exec(ctx, db)
	return err
}

// batchState counts the jobs of a batch's queue.
type batchState struct {
	driver.Batch
	waits, failed bool
}

// selectBatches begins a SELECT of batches with the state of their queues. It reads the greatest entry of an index, because the least may
// be dead entries of many jobs that have ended.
func (d *Database) selectBatches() *Statement {
	column := func(name string) string {
		if d.Dialect.Payload == "" {
			return "b." + name
		}
		return strings.ReplaceAll(d.Dialect.Payload, "payload", "b."+name)
	}
	s := d.Statement("SELECT b.id, b.queue, b.name, b.total, %s, %s, %s", column("on_success"), column("on_finish"), column("on_failure"))
	for _, at := range []string{"created_at", "sealed_at", "failed_at", "finished_at", "succeeded_at", "closed_at"} {
		s.Add(", "+d.Dialect.Micros, "b."+at)
	}
	s.Add(", (SELECT id FROM %s%s WHERE queue = b.queue%s ORDER BY queue DESC, priority DESC, available_at DESC, id DESC "+
		"LIMIT 1) IS NOT NULL",
		d.Table("jobs"), d.Force("jobs_ready"), d.Dialect.Waiting)
	if d.Dialect.Waiting == "" { // that index has the reserved jobs too
		s.Add(", 0")
	} else {
		s.Add(", EXISTS (SELECT 1 FROM %s WHERE reserved AND %s AND queue = b.queue)", d.Table("jobs"), d.Dialect.Level)
	}
	// The order leaves only the index, also where many rows of each queue are expected.
	s.Add(", (SELECT id FROM %s%s WHERE queue = b.queue ORDER BY queue DESC, id DESC LIMIT 1) IS NOT NULL",
		d.Table("failed_jobs"), d.Force("failed_jobs_queue"))
	s.Add(" FROM %s b", d.Table("job_batches"))
	return s
}

func eachBatch(ctx context.Context, s *Statement, db DB) (states []batchState, err error) {
	err = s.Each(ctx, db, func(scan func(...any) error) error {
		var b batchState
		var reserved bool
		var success, finish, failure []byte
		err := scan(Reading(&b.ID, &b.Queue, &b.Name, &b.Total, &success, &finish, &failure,
			&b.CreatedAt, &b.SealedAt, &b.FailedAt, &b.FinishedAt, &b.SucceededAt, &b.ClosedAt, &b.waits, &reserved, &b.failed)...)
		for _, of := range []struct {
			to   *json.RawMessage
			text []byte
		}{{&b.OnSuccess, success}, {&b.OnFinish, finish}, {&b.OnFailure, failure}} {
			if len(of.text) > 0 {
				*of.to = of.text
			}
		}
		b.waits = b.waits || reserved
		states = append(states, b)
		return err
	})
	return states, err
}

// Batch implements driver.Batcher.
func (d *Database) Batch(ctx context.Context, id int64) (driver.Batch, error) {
	s := d.selectBatches()
	s.Add(" WHERE b.id = %s", s.Arg(id))
	states, err := eachBatch(ctx, s, d.DB)
	if err == nil && len(states) == 0 {
		err = fmt.Errorf("batch %d: %w", id, driver.ErrNoBatch)
	}
	if err != nil {
		return driver.Batch{}, err
	}
	return states[0].Batch, nil
}

// PushBatch implements driver.Batcher. The row stays locked until the jobs are committed, so that the batch cannot finish before.
func (d *Database) PushBatch(ctx context.Context, id int64, jobs []driver.NewJob) (pushed []driver.Pushed, err error) {
	err = d.Tx(ctx, func(db DB) error {
		s := d.Statement("UPDATE %s%s SET", d.Table("job_batches"), d.Dialect.ByID)
		s.Add(" total = total + %s", s.Arg(len(jobs)))
		s.Add(" WHERE id = %s AND finished_at IS NULL AND closed_at IS NULL", s.Arg(id))
		changed, err := s.Exec(ctx, db)
		if err == nil && changed == 0 {
			err = d.whyNotBatch(ctx, db, id)
		}
		if err == nil {
			pushed, err = d.Insert(ctx, db, jobs)
		}
		return err
	})
	return pushed, err
}

// whyNotBatch says why a batch was not changed.
func (d *Database) whyNotBatch(ctx context.Context, db DB, id int64) error {
	why := driver.ErrNoBatch
	s := d.Statement("SELECT id FROM %s", d.Table("job_batches"))
	s.Add(" WHERE id = %s", s.Arg(id))
	if err := s.Each(ctx, db, func(func(...any) error) error { why = driver.ErrBatchEnded; return nil }); err != nil {
		return err
	}
	return fmt.Errorf("batch %d: %w", id, why)
}

// SealBatch implements driver.Batcher.
func (d *Database) SealBatch(ctx context.Context, b driver.Batch, look driver.BatchLook) (pushed []driver.NewJob, err error) {
	err = d.Tx(ctx, func(db DB) error {
		s := d.Statement("UPDATE %s SET ", d.Table("job_batches"))
		for _, of := range []struct {
			column string
			job    []byte
		}{{"on_success", b.OnSuccess}, {"on_finish", b.OnFinish}, {"on_failure", b.OnFailure}} {
			if len(of.job) == 0 {
				s.Add("%s = NULL, ", of.column)
			} else {
				s.Add("%s = %s, ", of.column, s.Arg(string(of.job)))
			}
		}
		s.Add("sealed_at = %s", s.Now())
		s.Add(" WHERE id = %s AND sealed_at IS NULL AND closed_at IS NULL", s.Arg(b.ID))
		changed, err := s.Exec(ctx, db)
		if err == nil && changed == 0 {
			err = d.whyNotBatch(ctx, db, b.ID)
		}
		if err != nil {
			return err
		}
		total := int64(-1) // FOR UPDATE reads the newest row, also in a transaction with an older snapshot
		s = d.Statement("SELECT total FROM %s", d.Table("job_batches"))
		s.Add(" WHERE id = %s %s", s.Arg(b.ID), d.Dialect.ForUpdate)
		if err := s.Each(ctx, db, func(scan func(...any) error) error { return scan(&total) }); err != nil || total != 0 {
			return err
		}
		pushed, err = d.endBatch(ctx, db, b.ID, look)
		return err
	})
	return pushed, err
}

// LookBatches implements driver.Batcher. It reads batches without locks. A batch that seems to have ended is locked, and read again in the
// next statement, because the one that locks sees the state from before the lock.
func (d *Database) LookBatches(ctx context.Context, look driver.BatchLook) (driver.BatchLooked, error) {
	var looked driver.BatchLooked
	var ended []int64
	read := func(db DB) error {
		looked, ended = driver.BatchLooked{}, nil
		if d.Dialect.ByIndex != "" {
			if _, err := db.Exec(ctx, d.Dialect.ByIndex); err != nil {
				return err
			}
		}
		var states []batchState
		if len(look.Queues) > 0 {
			s := d.selectBatches()
			s.Add(" WHERE b.queue IN (%s) AND b.closed_at IS NULL", s.list(look.Queues))
			named, err := eachBatch(ctx, s, db)
			if err != nil {
				return err
			}
			states = named
		}
		if look.Sweep {
			s := d.selectBatches()
			s.Add(" WHERE b.closed_at IS NULL AND b.id > %s ORDER BY b.id LIMIT %d", s.Arg(look.After), mostBatches)
			open, err := eachBatch(ctx, s, db)
			if err != nil {
				return err
			}
			looked.Open = len(open) > 0 || look.After > 0
			if len(open) == mostBatches {
				looked.After = open[len(open)-1].ID
			}
			states = append(states, open...)
		}
		for _, b := range states {
			if failed, finished, succeeded := b.events(); failed || finished || succeeded {
				ended = append(ended, b.ID)
			}
		}
		return nil
	}
	var err error
	if d.Dialect.ByIndex == "" {
		err = read(d.DB)
	} else {
		err = d.Tx(ctx, read)
	}
	for _, id := range ended {
		if err != nil {
			break
		}
		var pushed []driver.NewJob
		err = d.Tx(ctx, func(db DB) (err error) {
			pushed, err = d.endBatch(ctx, db, id, look)
			return err
		})
		looked.Pushed = append(looked.Pushed, pushed...)
	}
	return looked, err
}

// deleteBatches deletes, of the thousand batches with the least ids, those that were closed long ago, and that no other transaction has
// locked.
func (d *Database) deleteBatches(ctx context.Context, db DB) error {
	var last int64
	s := d.Statement("SELECT max(id) FROM (SELECT id FROM %s ORDER BY id LIMIT 1000) AS oldest", d.Table("job_batches"))
	if err := s.Each(ctx, db, func(scan func(...any) error) error { return scan(Reading(&last)...) }); err != nil || last == 0 {
		return err
	}
	s = d.Statement("SELECT id FROM %s%s", d.Table("job_batches"), d.Dialect.ByID)
	s.Add(" WHERE id <= %s", s.Arg(last))
	s.Add(" AND closed_at < %s %s", s.Ago(driver.BatchesKept), d.Dialect.SkipLocked)
	return d.DeleteFound(ctx, db, "job_batches", s)
}

// events are changes of a batch that are not written yet.
func (b *batchState) events() (failed, finished, succeeded bool) {
	if b.SealedAt.IsZero() || !b.ClosedAt.IsZero() {
		return false, false, false
	}
	return b.failed && b.FailedAt.IsZero(), !b.waits && b.FinishedAt.IsZero(), !b.waits && !b.failed
}

// endBatch writes a batch's events, and pushes its callbacks, unless another transaction has locked it.
func (d *Database) endBatch(ctx context.Context, db DB, id int64, look driver.BatchLook) ([]driver.NewJob, error) {
	free := false
	s := d.Statement("SELECT id FROM %s%s", d.Table("job_batches"), d.Dialect.ByID)
	s.Add(" WHERE id = %s %s", s.Arg(id), d.Dialect.SkipLocked)
	if err := s.Each(ctx, db, func(func(...any) error) error { free = true; return nil }); err != nil || !free {
		return nil, err
	}
	if d.Dialect.ByIndex != "" {
		if _, err := db.Exec(ctx, d.Dialect.ByIndex); err != nil {
			return nil, err
		}
	}
	s = d.selectBatches()
	s.Add(" WHERE b.id = %s", s.Arg(id))
	states, err := eachBatch(ctx, s, db)
	if err != nil || len(states) == 0 {
		return nil, err
	}
	b := states[0]
	failed, finished, succeeded := b.events()
	var set []string
	var jobs []driver.NewJob
	call := func(callback []byte, failure string) {
		if len(callback) > 0 {
			jobs = append(jobs, look.Callback(b.Batch, callback, failure))
		}
	}
	if failed {
		failure, err := d.firstFailure(ctx, db, b.Queue)
		if err != nil {
			return nil, err
		}
		set = append(set, "failed_at")
		call(b.OnFailure, failure)
	}
	if finished {
		set = append(set, "finished_at")
		call(b.OnFinish, "")
	}
	if succeeded {
		set = append(set, "succeeded_at", "closed_at")
		call(b.OnSuccess, "")
	}
	if set == nil {
		return nil, nil
	}
	if err := d.changeBatch(ctx, db, id, func(s *Statement) {
		for i, column := range set {
			if i > 0 {
				s.Add(", ")
			}
			s.Add("%s = %s", column, s.Now())
		}
	}); err != nil || jobs == nil {
		return nil, err
	}
	_, err = d.Insert(ctx, db, jobs)
	return jobs, err
}

// firstFailure is the error of the first failed job of a queue.
func (d *Database) firstFailure(ctx context.Context, db DB, queue string) (failure string, err error) {
	s := d.Statement("SELECT error FROM %s%s", d.Table("failed_jobs"), d.Force("failed_jobs_queue"))
	s.Add(" WHERE queue = %s ORDER BY id LIMIT 1", s.Arg(queue))
	err = s.Each(ctx, db, func(scan func(...any) error) error { return scan(Reading(&failure)...) })
	return failure, err
}

package sqldb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Beat implements driver.Store for the stores that embed a Database.
func (d *Database) Beat(ctx context.Context, b driver.Beat) error {
	if err := d.Tx(ctx, func(db DB) error {
		if err := d.writeWorker(ctx, db, b); err != nil {
			return err
		}
		if err := d.deleteUnseen(ctx, db, b); err != nil {
			return err
		}
		if err := d.writeErrors(ctx, db, b); err != nil {
			return err
		}
		return d.writeCounts(ctx, db, b)
	}); err != nil || b.Leave || b.Unseen == 0 {
		return err
	}
	return d.deleteFinished(ctx)
}

func (d *Database) writeWorker(ctx context.Context, db DB, b driver.Beat) error {
	w := b.Worker
	if b.Leave {
		return d.deleteWorker(ctx, db, w.ID)
	}
	free, err := d.hasWorker(ctx, db, w.ID, d.Dialect.SkipLocked)
	known := free
	if err == nil && !free {
		known, err = d.hasWorker(ctx, db, w.ID, "")
	}
	if err != nil || known && !free { // another transaction has locked it
		return err
	}
	queues, running := listed(w.Queues), ""
	if len(w.Running) > 0 {
		encoded, err := json.Marshal(w.Running)
		if err != nil {
			return err
		}
		running = string(encoded)
	}
	if !known {
		s := d.Statement("INSERT INTO %s (id, name, host, pid, queues, concurrency, version, status, busy, memory, "+
			"running, started_at, seen_at)",
			d.Table("job_workers"))
		s.Add(" VALUES ")
		s.Add("(%s, %s, %s, %s, ", s.Arg(w.ID), s.Arg(w.Name), s.Arg(w.Host), s.Arg(w.PID))
		s.Add("%s, %s, ", s.Arg(queues), s.Arg(w.Concurrency))
		s.Add("%s, %s, %s, %s, %s, ", s.Arg(w.Version), s.Arg(w.Status), s.Arg(w.Busy), s.Arg(w.Memory), s.Arg(running))
		s.Add("%s, ", s.Now())
		s.Add("%s)", s.Now())
		_, err := s.Exec(ctx, db)
		return err
	}
	s := d.Statement("UPDATE %s SET ", d.Table("job_workers"))
	s.Add("name = %s, host = %s, pid = %s, ", s.Arg(w.Name), s.Arg(w.Host), s.Arg(w.PID))
	s.Add("queues = %s, concurrency = %s, ", s.Arg(queues), s.Arg(w.Concurrency))
	s.Add("version = %s, status = %s, busy = %s, memory = %s, ", s.Arg(w.Version), s.Arg(w.Status), s.Arg(w.Busy), s.Arg(w.Memory))
	s.Add("running = %s, ", s.Arg(running))
	s.Add("seen_at = %s", s.Now())
	s.Add(" WHERE id = %s", s.Arg(w.ID))
	_, err = s.Exec(ctx, db)
	return err
}

// IdleWorkersColumn is a column of a SELECT: driver.Exchanged.IdleWorkers for the worker with this id. Both arguments are SQL; now is the
// time now, as the tables keep times.
func (d *Database) IdleWorkersColumn(id, now string) string {
	since := fmt.Sprintf(d.Dialect.Time, "("+fmt.Sprintf(d.Dialect.Micros, now)+fmt.Sprintf(" - %d)", driver.WorkerSeen.Microseconds()))
	workers := d.Table("job_workers")
	return "(SELECT count(*) FROM " + workers + " AS self JOIN " + workers + " AS w ON w.queues = self.queues WHERE self.id = " + id +
		" AND w.status = 'running' AND w.busy < w.concurrency AND w.seen_at > " + since + ")"
}

// listed returns the names of a worker's queues for its row: as many as fit, because MySQL's TEXT has at most 64 KB.
func listed(queues []string) string {
	const most = 65_000 // bytes
	text := strings.Join(queues, ",")
	if len(text) > most {
		text = text[:strings.LastIndexByte(text[:most], ',')]
	}
	return text
}

// hasWorker reports whether a worker has a row, which is locked as lock says.
func (d *Database) hasWorker(ctx context.Context, db DB, id, lock string) (has bool, err error) {
	s := d.Statement("SELECT id FROM %s", d.Table("job_workers"))
	s.Add(" WHERE id = %s %s", s.Arg(id), lock)
	err = s.Each(ctx, db, func(func(...any) error) error { has = true; return nil })
	return has, err
}

// deleteWorker deletes a worker's row, unless another transaction has locked it.
func (d *Database) deleteWorker(ctx context.Context, db DB, id string) error {
	if free, err := d.hasWorker(ctx, db, id, d.Dialect.SkipLocked); err != nil || !free {
		return err
	}
	s := d.Statement("DELETE FROM %s", d.Table("job_workers"))
	s.Add(" WHERE id = %s", s.Arg(id))
	_, err := s.Exec(ctx, db)
	return err
}

// deleteUnseen deletes the rows of dead workers. They are looked up without locks, and locked one by one.
func (d *Database) deleteUnseen(ctx context.Context, db DB, b driver.Beat) error {
	if b.Unseen == 0 {
		return nil
	}
	var gone []string
	s := d.Statement("SELECT id FROM %s", d.Table("job_workers"))
	s.Add(" WHERE seen_at < %s", s.Ago(b.Unseen))
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		gone = append(gone, id)
		return err
	}); err != nil {
		return err
	}
	for _, id := range gone {
		if err := d.deleteWorker(ctx, db, id); err != nil {
			return err
		}
	}
	return nil
}

// writeCounts inserts a worker's counts, and deletes old ones: at most a thousand, except those that another transaction has locked.
func (d *Database) writeCounts(ctx context.Context, db DB, b driver.Beat) error {
	if err := d.insertCounts(ctx, db, b.Counts); err != nil {
		return err
	}
	if err := d.insertNames(ctx, db, 0, b.Names); err != nil {
		return err
	}
	if b.OldCounts == 0 {
		return nil
	}
	for _, deleteOld := range []func(context.Context, DB) error{
		d.deleteOnce, d.deleteThrottled, d.deleteBatches, d.deleteCancelled, d.deleteProgress,
	} {
		if err := deleteOld(ctx, db); err != nil {
			return err
		}
	}
	s := d.Statement("SELECT id FROM %s%s", d.Table("job_counts"), d.Force("job_counts_minute"))
	s.Add(" WHERE minute < %s ORDER BY minute LIMIT 1000 %s", s.Ago(b.OldCounts), d.Dialect.SkipLocked)
	return d.DeleteFound(ctx, db, "job_counts", s)
}

func (d *Database) insertCounts(ctx context.Context, db DB, all []driver.Count) error {
	for counts := range slices.Chunk(all, 100) {
		s := d.Statement("INSERT INTO %s (minute, queue, pushed, done, failed, released) VALUES ", d.Table("job_counts"))
		for i, c := range counts {
			if i > 0 {
				s.Add(", ")
			}
			s.Add("(%s, %s, %d, %d, %d, %d)", s.Time(c.Minute), s.Arg(c.Queue), c.Pushed, c.Done, c.Failed, c.Released)
		}
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

// writeErrors inserts a worker's failed runs, and deletes old ones: at most a thousand by age and a thousand by number, except those that
// another transaction has locked.
func (d *Database) writeErrors(ctx context.Context, db DB, b driver.Beat) error {
	for errors := range slices.Chunk(b.Errors, 50) {
		s := d.Statement("INSERT INTO %s (job_id, queue, name, attempt, outcome, error, stack, worker, took_ms, at) VALUES ",
			d.Table("job_errors"))
		for i, e := range errors {
			if i > 0 {
				s.Add(", ")
			}
			s.Add("(%d, %s, %s, %d, ", e.JobID, s.Arg(e.Queue), s.Arg(e.Name), e.Attempt)
			s.Add("%s, %s, %s, %s, ", s.Arg(e.Outcome), s.Arg(e.Error), s.Arg(e.Stack), s.Arg(b.Worker.Name))
			s.Add("%d, %s)", e.Took.Milliseconds(), s.Time(e.At))
		}
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
	}
	if b.OldErrors > 0 {
		s := d.Statement("SELECT id FROM %s%s", d.Table("job_errors"), d.Force("job_errors_at"))
		s.Add(" WHERE at < %s ORDER BY at LIMIT 1000 %s", s.Ago(b.OldErrors), d.Dialect.SkipLocked)
		if err := d.DeleteFound(ctx, db, "job_errors", s); err != nil {
			return err
		}
	}
	if b.MostErrors == 0 {
		return nil
	}
	var newest int64 // counts ids of rolled-back rows too, which is exact enough, and reads no row
	if err := d.Statement("SELECT max(id) FROM %s", d.Table("job_errors")).Each(ctx, db, func(scan func(...any) error) error {
		return scan(Reading(&newest)...)
	}); err != nil || newest <= b.MostErrors {
		return err
	}
	s := d.Statement("SELECT id FROM %s", d.Table("job_errors"))
	s.Add(" WHERE id <= %s ORDER BY id LIMIT 1000 %s", s.Arg(newest-b.MostErrors), d.Dialect.SkipLocked)
	return d.DeleteFound(ctx, db, "job_errors", s)
}

// DeleteFound deletes the rows of a table whose ids a SELECT returns.
func (d *Database) DeleteFound(ctx context.Context, db DB, table string, s *Statement) error {
	_, err := d.deleteFound(ctx, db, table, s)
	return err
}

// deleteFound is DeleteFound, and returns how many rows were found.
func (d *Database) deleteFound(ctx context.Context, db DB, table string, s *Statement) (int, error) {
	var found []int64
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		found = append(found, id)
		return err
	}); err != nil {
		return 0, err
	}
	for ids := range slices.Chunk(found, 500) { // with more PostgreSQL would scan the table
		if err := d.Delete(ctx, db, table, ids); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

package sqldb

import (
	"context"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Beat is that of driver.Store, for the stores that embed a Database.
func (d *Database) Beat(ctx context.Context, b driver.Beat) error {
	return d.Tx(ctx, func(db DB) error {
		if err := d.writeWorker(ctx, db, b); err != nil {
			return err
		}
		if err := d.deleteUnseen(ctx, db, b); err != nil {
			return err
		}
		return d.writeCounts(ctx, db, b)
	})
}

func (d *Database) writeWorker(ctx context.Context, db DB, b driver.Beat) error {
	w := b.Worker
	if b.Leave {
		return d.deleteWorker(ctx, db, w.ID)
	}
	known, err := d.hasWorker(ctx, db, w.ID, "")
	if err != nil {
		return err
	}
	queues := strings.Join(w.Queues, ",")
	if !known {
		s := d.Statement("INSERT INTO %s (id, name, host, pid, queues, concurrency, started_at, seen_at) VALUES ", d.Table("job_workers"))
		s.Add("(%s, %s, %s, %s, ", s.Arg(w.ID), s.Arg(w.Name), s.Arg(w.Host), s.Arg(w.PID))
		s.Add("%s, %s, ", s.Arg(queues), s.Arg(w.Concurrency))
		s.Add("%s, ", s.Now())
		s.Add("%s)", s.Now())
		_, err := s.Exec(ctx, db)
		return err
	}
	if free, err := d.hasWorker(ctx, db, w.ID, d.Dialect.SkipLocked); err != nil || !free {
		return err
	}
	s := d.Statement("UPDATE %s SET ", d.Table("job_workers"))
	s.Add("name = %s, host = %s, pid = %s, ", s.Arg(w.Name), s.Arg(w.Host), s.Arg(w.PID))
	s.Add("queues = %s, concurrency = %s, ", s.Arg(queues), s.Arg(w.Concurrency))
	s.Add("seen_at = %s", s.Now())
	s.Add(" WHERE id = %s", s.Arg(w.ID))
	_, err = s.Exec(ctx, db)
	return err
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

// deleteUnseen deletes the rows of workers that have died. They are looked up without locks, and locked one by one.
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

// writeCounts inserts what a worker has counted, and deletes old counts: at most a thousand, and none that another transaction has locked.
func (d *Database) writeCounts(ctx context.Context, db DB, b driver.Beat) error {
	for counts := range slices.Chunk(b.Counts, 100) {
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
	if b.OldCounts == 0 {
		return nil
	}
	if err := d.deleteOnce(ctx, db); err != nil {
		return err
	}
	var old []int64
	s := d.Statement("SELECT id FROM %s%s", d.Table("job_counts"), d.Force("job_counts_minute"))
	s.Add(" WHERE minute < %s ORDER BY minute LIMIT 1000 %s", s.Ago(b.OldCounts), d.Dialect.SkipLocked)
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		old = append(old, id)
		return err
	}); err != nil || old == nil {
		return err
	}
	for ids := range slices.Chunk(old, 500) { // more would be a scan of the table for PostgreSQL
		if err := d.Delete(ctx, db, "job_counts", ids); err != nil {
			return err
		}
	}
	return nil
}

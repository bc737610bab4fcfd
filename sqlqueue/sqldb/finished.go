package sqldb

import (
	"context"
	"errors"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

var _ driver.Keeper = (*Database)(nil)

// Ended implements driver.Keeper. A job moves from table to table in one transaction, so a look at jobs, and then at where jobs go, misses
// none.
func (d *Database) Ended(ctx context.Context, id int64) (ended driver.Ended, err error) {
	if d.Bound {
		return ended, errors.New("this Queue is bound to a transaction, in which the job cannot end: wait after the commit")
	}
	s := d.Statement("SELECT id FROM %s", d.Table("jobs"))
	s.Add(" WHERE id = %s", s.Arg(id))
	if err := s.Each(ctx, d.DB, func(func(...any) error) error { ended.Waits = true; return nil }); err != nil || ended.Waits {
		return ended, err
	}
	s = d.SelectFinished(nil)
	s.Add(" WHERE job_id = %s ORDER BY id DESC LIMIT 1", s.Arg(id))
	if err := s.Each(ctx, d.DB, func(scan func(...any) error) error {
		f, err := ScanFinished(scan)
		ended.Finished = &f
		return err
	}); err != nil || ended.Finished != nil {
		return ended, err
	}
	// The failed jobs have no index of the ids that they had: this one is among the newest, or failed some time ago.
	s = d.Statement("SELECT id, error FROM %[1]s WHERE id = (SELECT max(id) FROM (SELECT id, job_id FROM %[1]s "+
		"ORDER BY id DESC LIMIT 1000) AS newest",
		d.Table("failed_jobs"))
	s.Add(" WHERE job_id = %s)", s.Arg(id))
	if err := s.Each(ctx, d.DB, func(scan func(...any) error) error {
		return scan(Reading(&ended.Failed, &ended.Error)...)
	}); err != nil || ended.Failed != 0 {
		return ended, err
	}
	s = d.Statement("SELECT error FROM %s%s", d.Table("job_errors"), d.Force("job_errors_job"))
	s.Add(" WHERE job_id = %s AND outcome = %s ORDER BY id DESC LIMIT 1", s.Arg(id), s.Arg("failed"))
	err = s.Each(ctx, d.DB, func(scan func(...any) error) error { return scan(Reading(&ended.Error)...) })
	return ended, err
}

// SelectFinished begins a SELECT of finished jobs, whose rows ScanFinished reads. Cut returns the expression for the beginning of a column;
// nil: payloads and results are whole.
func (d *Database) SelectFinished(cut func(column string) string) *Statement {
	if cut == nil {
		cut = func(column string) string { return column }
	}
	s := d.Statement("SELECT id, job_id, queue, name, priority, attempts, outcome, worker, %s, %s", cut("payload"), cut("result"))
	for _, at := range []string{"created_at", "started_at", "finished_at", "keep_until"} {
		s.Add(", "+d.Dialect.Micros, at)
	}
	s.Add(" FROM %s", d.Table("job_finished"))
	return s
}

// ScanFinished reads a row of SelectFinished.
func ScanFinished(scan func(...any) error) (driver.Finished, error) {
	var f driver.Finished
	var payload, result []byte
	err := scan(Reading(&f.Number, &f.ID, &f.Queue, &f.Name, &f.Priority, &f.Attempts, &f.Outcome, &f.Worker, &payload, &result,
		&f.CreatedAt, &f.StartedAt, &f.FinishedAt, &f.KeepUntil)...)
	f.Payload = payload
	if len(result) > 0 {
		f.Result = result
	}
	return f, err
}

// deleteFinished deletes finished jobs whose time of keeping has passed: a thousand in a transaction, except those that another transaction
// has locked, as long as there are more, for two seconds at most.
func (d *Database) deleteFinished(ctx context.Context) error {
	const most = 2 * time.Second
	for began := time.Now(); time.Since(began) < most; {
		found := 0
		if err := d.Tx(ctx, func(db DB) (err error) {
			s := d.Statement("SELECT id FROM %s%s", d.Table("job_finished"), d.Force("job_finished_until"))
			s.Add(" WHERE keep_until < %s ORDER BY keep_until LIMIT 1000 %s", s.Ago(0), d.Dialect.SkipLocked)
			found, err = d.deleteFound(ctx, db, "job_finished", s)
			return err
		}); err != nil || found < 1000 {
			return err
		}
	}
	return nil
}

// deleteProgress deletes what was written of how far jobs are a day ago: at most a thousand rows, except those that another transaction has
// locked.
func (d *Database) deleteProgress(ctx context.Context, db DB) error {
	var old []int64
	s := d.Statement("SELECT job_id FROM %s%s", d.Table("job_progress"), d.Force("job_progress_at"))
	s.Add(" WHERE at < %s ORDER BY at LIMIT 1000 %s", s.Ago(driver.ProgressKept), d.Dialect.SkipLocked)
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		old = append(old, id)
		return err
	}); err != nil || old == nil {
		return err
	}
	s = d.Statement("DELETE FROM %s WHERE ", d.Table("job_progress"))
	s.Add("%s", s.In("job_id", old))
	_, err := s.Exec(ctx, db)
	return err
}

// Progress returns how far running jobs are, by their ids, as far as their handlers have said.
func (d *Database) Progress(ctx context.Context, db DB, ids []int64) (map[int64]driver.Progress, error) {
	progress := map[int64]driver.Progress{}
	if len(ids) == 0 {
		return progress, nil
	}
	s := d.Statement("SELECT p.job_id, p.fraction, p.text, "+d.Dialect.Micros, "p.at")
	s.Add(" FROM %s p JOIN %s j ON j.id = p.job_id", d.Table("job_progress"), d.Table("jobs"))
	s.Add(" WHERE %s AND j.reserved AND p.at >= j.reserved_at", s.In("p.job_id", ids))
	err := s.Each(ctx, db, func(scan func(...any) error) error {
		var id int64
		var p driver.Progress
		err := scan(Reading(&id, &p.Fraction, &p.Text, &p.At)...)
		p.Fraction = min(max(p.Fraction, 0), 1)
		progress[id] = p
		return err
	})
	return progress, err
}

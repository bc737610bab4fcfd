package sqldb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

var _ driver.Throttler = (*Database)(nil)

// Controls returns the controls of the queues, and under the empty name that of all queues. If queues is nil, it returns every control.
func (d *Database) Controls(ctx context.Context, db DB, queues []string) ([]driver.Control, error) {
	s := d.Statement("%s", d.SelectControls())
	if queues != nil {
		s.Add(" WHERE queue IN (%s)", s.list(append([]string{""}, queues...)))
	}
	var controls []driver.Control
	err := s.Each(ctx, db, func(scan func(...any) error) error {
		c, err := ScanControl(scan)
		controls = append(controls, c)
		return err
	})
	return controls, err
}

// SelectControls is a SELECT of ControlColumns from every row.
func (d *Database) SelectControls() string {
	now := d.Dialect.Now
	if now == "" {
		now = fmt.Sprintf(d.Dialect.Time, fmt.Sprint(time.Now().UnixMicro()))
	}
	return "SELECT " + ControlColumns(now, fmt.Sprintf(d.Dialect.Micros, "paused_until")) + " FROM " + d.Table("job_queues")
}

// ControlColumns are the columns of job_queues that ScanControl reads: now is the time as the table keeps times, until the column
// paused_until in microseconds since 1970.
func ControlColumns(now, until string) string {
	return "queue, " + paused("", now) + ", " + until + ", restarts, maintenance, expire_ms IS NOT NULL, expire_ms"
}

// paused is the condition of a row that is paused now: a pause that is over does not count.
func paused(row, now string) string {
	return fmt.Sprintf("%[1]spaused AND (%[1]spaused_until IS NULL OR %[1]spaused_until > %[2]s)", row, now)
}

// Throttle implements driver.Throttler.
func (d *Database) Throttle(ctx context.Context, queue string, rest time.Duration) error {
	return d.Tx(ctx, func(db DB) error {
		s := d.Statement("INSERT INTO %s (queue) VALUES ", d.Table("job_queues"))
		s.Add("(%s)%s", s.Arg(queue), d.Dialect.OnConflict)
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
		s = d.Statement("UPDATE %s SET ", d.Table("job_queues"))
		s.Add("paused = %s, ", s.Arg(true))
		s.Add("paused_until = %s", s.After(rest))
		s.Add(" WHERE queue = %s", s.Arg(queue))
		s.Add(" AND (NOT paused OR paused_until < %s)", s.After(rest))
		_, err := s.Exec(ctx, db)
		return err
	})
}

// deleteThrottled deletes rows that only hold an ended pause of Throttle: at most a thousand, except those that another transaction has
// locked.
func (d *Database) deleteThrottled(ctx context.Context, db DB) error {
	const ago = time.Hour
	var over []string
	s := d.Statement("SELECT queue FROM %s", d.Table("job_queues"))
	s.Add(" WHERE paused AND paused_until < %s", s.Ago(ago))
	s.Add(" AND queue <> %s AND restarts = 0 AND NOT maintenance AND expire_ms IS NULL AND keep_ms IS NULL LIMIT 1000 %s",
		s.Arg(""), d.Dialect.SkipLocked)
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var queue string
		err := scan(Reading(&queue)...)
		over = append(over, queue)
		return err
	}); err != nil {
		return err
	}
	for queues := range slices.Chunk(over, 100) {
		s := d.Statement(cmp.Or(d.Dialect.Delete, "DELETE FROM %s"), d.Table("job_queues"))
		s.Add(" WHERE queue IN (%s)", s.list(queues))
		if _, err := s.Exec(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

// StoppedSQL is the condition of a row of job_queues that stops reservations. Row is the prefix of its columns, such as "c.", and force
// the condition under which maintenance does not count. Stopped is the same for controls that were read.
func StoppedSQL(row, now, force string) string {
	return "(" + paused(row, now) + " OR " + row + "maintenance AND NOT " + force + ")"
}

// Stopped reports whether nothing may be reserved from a queue, because of its own control, that of a pattern that matches it, or that of
// all queues. Force is Exchange.Force.
func Stopped(controls []driver.Control, queue string, force bool) bool {
	return slices.ContainsFunc(controls, func(c driver.Control) bool {
		return (c.Queue == "" || c.Queue == queue || driver.InPattern(c.Queue, queue)) && (c.Paused || c.Maintenance && !force)
	})
}

// ScanControl reads a row of ControlColumns.
func ScanControl(scan func(...any) error) (driver.Control, error) {
	var c driver.Control
	var until time.Time
	var expires bool
	var expire int64
	err := scan(Reading(&c.Queue, &c.Paused, &until, &c.Restarts, &c.Maintenance, &expires, &expire)...)
	if c.Paused {
		c.PausedUntil = until
	}
	if expires {
		d := Milliseconds(expire)
		c.Expire = &d
	}
	return c, err
}

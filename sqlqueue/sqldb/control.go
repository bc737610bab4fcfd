package sqldb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Controls returns the controls of the queues, and of all under the empty name; every control there is when queues is nil.
func (d *Database) Controls(ctx context.Context, db DB, queues []string) ([]driver.Control, error) {
	s := d.Statement("%s", d.SelectControls())
	if queues != nil {
		names := []string{s.Arg("")}
		for _, name := range queues {
			names = append(names, s.Arg(name))
		}
		s.Add(" WHERE queue IN (%s)", strings.Join(names, ", "))
	}
	var controls []driver.Control
	err := s.Each(ctx, db, func(scan func(...any) error) error {
		c, err := ScanControl(scan)
		controls = append(controls, c)
		return err
	})
	return controls, err
}

// SelectControls is a SELECT without conditions of what ScanControl reads. A pause that has passed reads as none.
func (d *Database) SelectControls() string {
	now := d.Dialect.Now
	if now == "" {
		now = fmt.Sprintf(d.Dialect.Time, fmt.Sprint(time.Now().UnixMicro()))
	}
	return fmt.Sprintf("SELECT queue, paused AND (paused_until IS NULL OR paused_until > %s), %s, restarts, maintenance, expire_ms IS NOT NULL, expire_ms FROM %s",
		now, fmt.Sprintf(d.Dialect.Micros, "paused_until"), d.Table("job_queues"))
}

// ScanControl reads a row of SelectControls.
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

package sqldb

import (
	"context"
	"slices"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// WriteCounts inserts an exchange's counts, and deletes old ones: at most a thousand, and none that another transaction has locked.
func (d *Database) WriteCounts(ctx context.Context, db DB, x driver.Exchange) error {
	for counts := range slices.Chunk(x.Counts, 100) {
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
	if x.OldCounts == 0 {
		return nil
	}
	var old []int64
	s := d.Statement("SELECT id FROM %s%s", d.Table("job_counts"), d.Force("job_counts_minute"))
	s.Add(" WHERE minute < %s ORDER BY minute LIMIT 1000 %s", s.Ago(x.OldCounts), d.Dialect.SkipLocked)
	if err := s.Each(ctx, db, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		old = append(old, id)
		return err
	}); err != nil || old == nil {
		return err
	}
	return d.Delete(ctx, db, "job_counts", old)
}

package sqldb

import (
	"context"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// deleteCancelled deletes cancelled jobs that cannot be restored any more.
func (d *Database) deleteCancelled(ctx context.Context, db DB) error {
	s := d.Statement("SELECT id FROM %s%s", d.Table("job_cancelled"), d.Force("job_cancelled_at"))
	s.Add(" WHERE cancelled_at < %s ORDER BY cancelled_at LIMIT 1000 %s", s.Ago(driver.CancelledKept), d.Dialect.SkipLocked)
	return d.DeleteFound(ctx, db, "job_cancelled", s)
}

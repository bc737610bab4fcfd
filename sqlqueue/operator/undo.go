package operator

import (
	"context"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// CancelledKept is how long cancelled jobs can be restored.
const CancelledKept = driver.CancelledKept

// Undoable returns the same Operator, but what it cancels can be restored by the same text for 7 days, as long as the table job_cancelled
// has it. Use a new text for each command or click, at most 64 letters and digits such as rand.Text makes. Clear and CancelBatch delete
// jobs as before.
func (o *Operator) Undoable(undo string) *Operator {
	undoable := *o
	undoable.undo = undo
	return &undoable
}

// checkUndo says what is wrong with the text of Undoable.
func checkUndo(undo string) error {
	const most = 64
	for _, r := range undo {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return fmt.Errorf("the undo %.70q: it must have letters and digits only", undo)
		}
	}
	if undo == "" || len(undo) > most {
		return fmt.Errorf("the undo %.70q: it must have 1 to %d letters and digits", undo, most)
	}
	return nil
}

// CountCancelled returns how many cancelled jobs can be restored by the text of Undoable.
func (o *Operator) CountCancelled(ctx context.Context, undo string) (n int, err error) {
	t, err := o.open(ctx)
	if err == nil {
		err = checkUndo(undo)
	}
	if err != nil {
		return 0, wrap("count cancelled jobs", err)
	}
	s := t.statement("SELECT count(*) FROM %s", t.Table("job_cancelled"))
	s.Add(" WHERE undo_key = %s", s.Arg(undo))
	err = s.Each(ctx, t.DB, func(scan func(...any) error) error { return scan(&n) })
	return n, wrap("count cancelled jobs", err)
}

// Restore puts the jobs back that were cancelled under the text of Undoable, a thousand in a transaction, and returns how many. They get
// new ids, and are otherwise as they were. Jobs whose unique key another job has by now stay cancelled, and are named by a
// *sqlqueue.DuplicateError. If there are none, the error is ErrNotFound: they were restored already, or cancelled more than 7 days ago.
// Progress: see CancelAll.
func (o *Operator) Restore(ctx context.Context, undo string, progress ...func(restored int)) (total int, err error) {
	var duplicates []sqlqueue.Duplicate
	for after := int64(0); ; {
		page, err := o.RestoreAfter(ctx, undo, after)
		total += page.Restored
		tell(progress, total)
		if err != nil {
			return total, err
		}
		duplicates = append(duplicates, page.Duplicates...)
		if after = page.Next; after == 0 {
			break
		}
	}
	switch {
	case duplicates != nil:
		err = &sqlqueue.DuplicateError{Duplicates: duplicates}
	case total == 0:
		err = fmt.Errorf("undo %q: %w", undo, ErrNotFound)
	}
	return total, wrap("restore", err)
}

// Restored is what RestoreAfter has done.
type Restored struct {
	Restored   int
	Duplicates []sqlqueue.Duplicate // jobs that stay cancelled, because another job has their unique key
	Next       int64                // where the next page begins; 0: there is none
}

// RestoreAfter is one transaction of Restore. Begin with 0.
func (o *Operator) RestoreAfter(ctx context.Context, undo string, after int64) (page Restored, err error) {
	t, err := o.open(ctx)
	if err == nil {
		err = checkUndo(undo)
	}
	if err != nil {
		return page, wrap("restore", err)
	}
	err = t.Tx(ctx, change{"restore", "", map[string]any{"undo": undo}}, func(db sqldb.DB) (int, error) {
		page = Restored{}
		ids, err := t.lock(ctx, db, "job_cancelled", "", nil, "id", batch, "", func(s *statement, ids []int64, from int64) {
			s.Add(" WHERE undo_key = %s AND id > %s", s.Arg(undo), s.Arg(max(from, after)))
			if ids != nil {
				s.Add(" AND %s", s.In("id", ids))
			}
		})
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		back, duplicates, err := t.putBack(ctx, db, "job_cancelled", ids, t.insertCancelled)
		page.Restored, page.Duplicates = len(back), duplicates
		if len(ids) == batch {
			page.Next = ids[batch-1]
		}
		return len(back), err
	})
	return page, wrap("restore", err)
}

// cancelledColumns are what a job that was cancelled brings back.
const cancelledColumns = "queue, priority, payload, attempts, exceptions, available_at, created_at, unique_key, unique_until"

func (t *tables) keepCancelled(ctx context.Context, db sqldb.DB, ids []int64, undo string) error {
	if err := checkUndo(undo); err != nil {
		return err
	}
	s := t.statement("INSERT INTO %s (undo_key, cancelled_at, job_id, %s) SELECT ", t.Table("job_cancelled"), cancelledColumns)
	s.Add("%s, ", s.Arg(undo))
	s.Add("%s, id, %s FROM %s%s", s.Now(), cancelledColumns, t.Table("jobs"), t.Dialect.ByID)
	s.WhereIDs(ids)
	_, err := s.Exec(ctx, db)
	return err
}

func (t *tables) insertCancelled(ctx context.Context, db sqldb.DB, ids []int64, onConflict string) (int64, error) {
	s := t.statement("INSERT INTO %[1]s (%[2]s) SELECT %[2]s FROM %[3]s", t.Table("jobs"), cancelledColumns, t.Table("job_cancelled"))
	s.Add(" WHERE %s ORDER BY id%s", s.In("id", ids), onConflict)
	return s.Exec(ctx, db)
}

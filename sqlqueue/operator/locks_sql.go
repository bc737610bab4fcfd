package operator

import (
	"context"
	"slices"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// lock returns the ids of the rows that pass a filter, locked. Rows are looked up without locks first, so that only rows that pass are
// ever locked, whatever index the filter goes by. Others take the place of those that do not pass any more when they are locked: it
// returns fewer than limit only if there are no more. The filter is for ids, if not nil, and for what follows in the order after a row,
// if not 0; name is the one it asks for. Hint stands after the table's name when they are looked up.
func (t *tables) lock(ctx context.Context, db sqldb.DB, table, hint string, ids []int64, order string, limit int, name string,
	where func(s *statement, ids []int64, after int64),
) ([]int64, error) {
	if ids != nil {
		return t.lockIDs(ctx, db, table, ids, name, where)
	}
	var locked []int64
	for after := int64(0); ; {
		most := limit - len(locked)
		found, read, err := t.ids(ctx, db, t.Table(table)+hint, order, most, "", name, func(s *statement) { where(s, nil, after) })
		if err != nil || read.rows == 0 {
			return locked, err
		}
		if len(found) > 0 {
			more, err := t.lockIDs(ctx, db, table, found, name, where)
			if err != nil {
				return nil, err
			}
			locked = append(locked, more...)
		}
		if read.rows < most || len(locked) == limit {
			return locked, nil
		}
		after = read.last
	}
}

func (t *tables) lockIDs(ctx context.Context, db sqldb.DB, table string, ids []int64, name string,
	where func(s *statement, ids []int64, after int64),
) ([]int64, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	found, _, err := t.ids(ctx, db, t.Table(table)+t.Dialect.ByID, "id", len(ids), t.Dialect.ForUpdate, name,
		func(s *statement) { where(s, ids, 0) })
	return found, err
}

// read is how many rows a statement has read, and the id of the last.
type read struct {
	rows int
	last int64
}

// ids reads at most limit rows, and returns the ids of those that pass: with a name, not all do.
func (t *tables) ids(ctx context.Context, db sqldb.DB, table, order string, limit int, lock, name string,
	where func(s *statement),
) ([]int64, read, error) {
	columns := "id, queue"
	if name != "" {
		columns += ", " + t.doubtful()
	}
	s := t.statement("SELECT %s FROM %s", columns, table)
	where(s)
	s.Add(" ORDER BY %s LIMIT %d %s", order, limit, lock)
	var found []int64
	var all read
	err := s.Each(ctx, db, func(scan func(...any) error) error {
		var queue string
		var doubtful []byte
		dest := []any{&all.last, &queue}
		if name != "" {
			dest = append(dest, &doubtful)
		}
		err := scan(sqldb.Reading(dest...)...)
		if all.rows++; isNamed(name, doubtful) {
			found = append(found, all.last)
		}
		return err
	})
	return found, all, err
}

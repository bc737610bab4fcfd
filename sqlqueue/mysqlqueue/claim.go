package mysqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// claim locks the first n rows that a statement finds and no other transaction has locked. It returns the time, in the column, of the first
// row that it left; zero: it left none. Find makes the statement, which goes on at a place and is in the order of the column and id; lock
// locks up to n of the ids, and returns those. The time that find's statements take is added to took. After two tries in vain, lock is
// given more ids, twice as many each time, so that many workers that want one job each do not try one row after the other.
func (c *exchange) claim(ctx context.Context, n int, column string, from time.Time, took *time.Duration,
	find func(goOn string, size int) string, lock func(ids []int64, n int) ([]int64, error),
) (left time.Time, err error) {
	const ahead = 20
	claimed := map[int64]bool{}
	inVain := 0
	for goOn := since(column, from); ; {
		size := min(max(n-len(claimed), ahead), mostIDs)
		var found []int64
		var at []time.Time
		began := time.Now()
		if err := each(ctx, c.db, find(goOn, size), func(scan func(...any) error) error {
			var id int64
			var place sql.NullInt64
			err := scan(&id, &place)
			found, at = append(found, id), append(at, timeOrZero(place))
			return err
		}); err != nil {
			return left, err
		}
		*took += time.Since(began)
		// A row may be found twice, if its column was changed between the two statements.
		free := slices.DeleteFunc(slices.Clone(found), func(id int64) bool { return claimed[id] })
		for len(free) > 0 && len(claimed) < n && !c.full {
			need := n - len(claimed)
			part := free[:min(max(need, 1<<min(max(inVain-1, 0), 10)), len(free))]
			free = free[len(part):]
			locked, err := lock(part, need)
			if err != nil {
				return left, err
			}
			if inVain++; len(locked) > 0 {
				inVain = 0
			}
			for _, id := range locked {
				claimed[id] = true
			}
		}
		if first := slices.IndexFunc(found, func(id int64) bool { return !claimed[id] }); left.IsZero() && first >= 0 {
			left = at[first]
		}
		if len(found) < size {
			return left, nil
		}
		last := at[len(at)-1]
		if len(claimed) >= n || c.full {
			if left.IsZero() {
				left = last
			}
			return left, nil
		}
		if last.IsZero() { // not a time that a condition could begin at
			goOn += fmt.Sprintf(" AND id NOT IN (%s)", integers(found))
			continue
		}
		goOn = fmt.Sprintf(" AND %[1]s >= %[2]s AND (%[1]s > %[2]s OR id > %[3]d)", column, momentOf(last), found[len(found)-1])
	}
}

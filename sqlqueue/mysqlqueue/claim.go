package mysqlqueue

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// claim locks the first n rows that a statement finds and others have not locked, and returns where the first is that it left; zero: it left
// none. Find is the statement, from a place on, in the order of a column and id, and took is told how long it took; lock locks up to n of the
// ids that are free, and returns them. After two tries in vain it offers more ids at a time, twice as many each time, and takes what it gets of
// them: many workers that want one job each would else try one by one.
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
		// A row that was found at one place may have had another when it was locked, and be found again there.
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
		if last.IsZero() { // which is no time to go on from
			goOn += fmt.Sprintf(" AND id NOT IN (%s)", integers(found))
			continue
		}
		goOn = fmt.Sprintf(" AND %[1]s >= %[2]s AND (%[1]s > %[2]s OR id > %[3]d)", column, momentOf(last), found[len(found)-1])
	}
}

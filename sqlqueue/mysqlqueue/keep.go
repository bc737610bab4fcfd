package mysqlqueue

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// A zero date as in failSQL. %[1]s ids, %[2]s numbers, %[3]s names, %[4]s outcomes, %[5]s results, %[6]s workers, %[7]s when they were
// started, %[8]s for how many microseconds they are kept.
const keepSQL = `
INSERT INTO {job_finished} (job_id, queue, name, priority, payload, attempts, outcome, result, worker, created_at, started_at,
    finished_at, keep_until)
SELECT id, queue, %[3]s, priority, payload, attempts, %[4]s, %[5]s, %[6]s,
    IF(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_at) IS NULL, TIMESTAMP'0001-01-01 00:00:00', created_at),
    COALESCE(%[7]s, reserved_at), UTC_TIMESTAMP(6), UTC_TIMESTAMP(6) + INTERVAL %[8]s MICROSECOND
FROM {jobs} FORCE INDEX (PRIMARY)
WHERE id IN (%[1]s) AND reserved = 1 AND reserved_by IN (%[2]s) ORDER BY id`

// mostKept is how many jobs one statement keeps: each value that is not the same for all is looked up among as many.
const mostKept = 100

// keep copies jobs that are deleted to the finished jobs, if they are kept.
func (c *exchange) keep(ctx context.Context, ends []driver.Settlement) error {
	var kept []driver.Settlement
	for _, s := range ends {
		if s.Outcome == driver.Delete && s.Keep != nil {
			kept = append(kept, s)
		}
	}
	for len(kept) > 0 {
		n, size := 0, 0
		for n < min(len(kept), mostKept) && (n == 0 || size+len(kept[n].Keep.Result) <= mostText) {
			size += len(kept[n].Keep.Result)
			n++
		}
		part := kept[:n]
		kept = kept[n:]
		reservations := reservationsOf(part)
		statement := c.store.sql(keepSQL, idsOf(reservations), numbersOf(reservations),
			valueByID(part, func(k *driver.Keep) string { return text(k.Name) }),
			valueByID(part, func(k *driver.Keep) string { return text(k.Outcome) }),
			valueByID(part, func(k *driver.Keep) string {
				if k.Result == nil {
					return "NULL"
				}
				return text(string(k.Result))
			}),
			valueByID(part, func(k *driver.Keep) string { return text(k.Worker) }),
			valueByID(part, func(k *driver.Keep) string {
				if k.Started.IsZero() {
					return "NULL"
				}
				return momentOf(k.Started)
			}),
			valueByID(part, func(k *driver.Keep) string { return strconv.FormatInt(k.For.Microseconds(), 10) }))
		if _, err := c.db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// valueByID returns an expression for the values of kept jobs: the one that all have, or one for each id.
func valueByID(kept []driver.Settlement, value func(*driver.Keep) string) string {
	first, same := value(kept[0].Keep), true
	var whens strings.Builder
	for _, s := range kept {
		v := value(s.Keep)
		same = same && v == first
		fmt.Fprintf(&whens, " WHEN %d THEN %s", s.ID, v)
	}
	if same {
		return first
	}
	return "CASE id" + whens.String() + " END"
}

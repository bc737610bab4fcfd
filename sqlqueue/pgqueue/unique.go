package pgqueue

import (
	"cmp"
	"context"
	"slices"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// pushUnique pushes the jobs with a key, which are not held for a time by others.
func (s *store) pushUnique(ctx context.Context, db sqldb.DB, jobs []driver.NewJob, which []int, pushed []driver.Pushed) error {
	once := sqldb.Once(jobs)
	if once {
		if err := s.TakeOnce(ctx, db, jobs, pushed); err != nil {
			return err
		}
	}
	var plain, replacing []int
	for _, i := range which {
		switch {
		case pushed[i].Duplicate:
		case jobs[i].Replace:
			replacing = append(replacing, i)
		default:
			plain = append(plain, i)
		}
	}
	if err := s.pushKeyed(ctx, db, jobs, plain, pushed); err != nil {
		return err
	}
	slices.SortStableFunc(replacing, func(a, b int) int {
		return cmp.Or(cmp.Compare(jobs[a].Queue, jobs[b].Queue), cmp.Compare(jobs[a].UniqueKey, jobs[b].UniqueKey))
	})
	for _, i := range replacing {
		if err := s.pushReplacing(ctx, db, jobs, i, pushed); err != nil {
			return err
		}
	}
	if !once {
		return nil
	}
	return s.KeepOnce(ctx, db, jobs, pushed)
}

// keyColumns are the arguments of pushKeyedSQL after those of pushSQL.
func keyColumns(jobs []driver.NewJob, which []int) []any {
	keys, until := make([]string, len(which)), make([]int16, len(which))
	for i, index := range which {
		keys[i] = jobs[index].UniqueKey
		if jobs[index].UntilStarted {
			until[i] = 1
		}
	}
	return []any{keys, until}
}

// While the holder is being reserved this waits for that, which is short, and then finds no job with the key. A statement cannot change a
// row twice, so each job has its own. $1 queue, $2 unique key, $3 priority, $4 payload, $5 time in microseconds since 1970 or NULL, $6
// delay in microseconds, $7 whether a job that is due keeps its time, $8 how many microseconds after created_at it is available at the
// latest, or NULL.
const replaceSQL = `
UPDATE "jobs" j SET priority = $3, payload = $4::text::json, unique_until = 1, available_at = CASE
    WHEN j.available_at <= r.now AND ($7::boolean OR r.at <= r.now) THEN j.available_at
    ELSE greatest(least(r.at, j.created_at + $8::bigint * interval '1 microsecond'), least(r.at, r.now)) END
FROM (SELECT t.now, coalesce(timestamptz 'epoch' + $5::bigint * interval '1 microsecond', ` +
	`t.now + $6::bigint * interval '1 microsecond') AS at
      FROM (SELECT clock_timestamp() AS now OFFSET 0) t OFFSET 0) r
WHERE j.queue = $1 AND j.unique_key = $2 AND NOT j.reserved
RETURNING j.id, j.queue, j.unique_key`

// $1 queue, $2 unique key.
const reservedHolderSQL = `SELECT id, queue, unique_key FROM "jobs" WHERE queue = $1 AND unique_key = $2 AND reserved`

// pushReplacing changes the job that waits with the key, or inserts the job. If a job that is reserved has the key, it is a duplicate.
// Between the two another job may come with the key and be reserved as well, again and again.
func (s *store) pushReplacing(ctx context.Context, db sqldb.DB, jobs []driver.NewJob, i int, pushed []driver.Pushed) error {
	const tries = 100
	job := &jobs[i]
	var bound *int64
	if job.Bound > 0 {
		us := job.Bound.Microseconds()
		bound = &us
	}
	args := []any{
		job.Queue, job.UniqueKey, job.Priority, string(job.Payload), micros(job.At), job.Delay.Microseconds(), job.Debounce, bound,
	}
	for range tries {
		changed, err := s.byKey(ctx, db, replaceSQL, args...)
		if err != nil {
			return err
		}
		if id, ok := changed[keyOf(*job)]; ok {
			pushed[i] = driver.Pushed{ID: id, Replaced: true}
			return nil
		}
		if err := s.pushKeyed(ctx, db, jobs, []int{i}, pushed); err != nil || !pushed[i].Duplicate {
			return err
		}
		reserved, err := s.byKey(ctx, db, reservedHolderSQL, job.Queue, job.UniqueKey)
		if err != nil || len(reserved) > 0 {
			return err
		}
	}
	return nil
}

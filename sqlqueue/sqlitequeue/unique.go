package sqlitequeue

import (
	"context"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// pushOnce is Push of jobs of which some have a Once. Those that are no duplicates go one by one.
func (s *store) pushOnce(ctx context.Context, db sqldb.Executor, jobs []driver.NewJob) ([]driver.Pushed, error) {
	pushed, on := make([]driver.Pushed, len(jobs)), sqldb.SQL(db, translate)
	if err := s.TakeOnce(ctx, on, jobs, pushed); err != nil {
		return nil, err
	}
	now := time.Now()
	for i := range jobs {
		if pushed[i].Duplicate {
			continue
		}
		made, err := s.pushAlike(ctx, db, jobs[i:i+1], now)
		if err != nil {
			return nil, err
		}
		pushed[i] = made[0]
	}
	return pushed, s.KeepOnce(ctx, on, jobs, pushed)
}

// replaceJob changes the job that waits with the unique key ?2 in the queue ?1: ?3 priority, ?4 payload, ?5 available_at, ?6 now, ?7
// whether a job that is due keeps its time, ?8 how long after created_at it is available at the latest, or NULL.
var replaceJob = newStatement(`
UPDATE "jobs" SET priority = ?3, payload = ?4, unique_until = 1, available_at = CASE
	WHEN available_at <= ?6 AND (?7 OR ?5 <= ?6) THEN available_at
	ELSE max(min(?5, coalesce(created_at + ?8, ?5)), min(?5, ?6)) END
WHERE queue = ?1 AND unique_key = ?2 AND NOT reserved
RETURNING id`)

// replace changes the job that waits with the key. ID 0: no job has the key.
func (s *store) replace(ctx context.Context, db sqldb.Executor, job driver.NewJob, at, now int64) (driver.Pushed, error) {
	var bound any
	if job.Bound > 0 {
		bound = job.Bound.Microseconds()
	}
	ids, err := s.ids(ctx, db, replaceJob, job.Queue, job.UniqueKey, job.Priority, string(job.Payload), at, now, job.Debounce, bound)
	if err != nil || len(ids) > 0 {
		return driver.Pushed{ID: only(ids), Replaced: err == nil}, err
	}
	ids, err = s.ids(ctx, db, selectHolder, job.Queue, job.UniqueKey)
	return driver.Pushed{ID: only(ids), Duplicate: len(ids) > 0}, err
}

// clearKeys takes the unique keys from the jobs ?1, a list of ids.
var clearKeys = newStatement(`UPDATE "jobs" SET unique_key = NULL WHERE id IN (SELECT value FROM json_each(?1))`)

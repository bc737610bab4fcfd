package operator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// failedJobs returns the failed jobs that pass the filter, the newest first.
func (t *tables) failedJobs(ctx context.Context, f FailedFilter) ([]FailedJob, error) {
	columns := fmt.Sprintf("id, job_id, queue, priority, %s, attempts, unique_key, %s, %s, %s, %s", t.start("payload", f.TextMax),
		t.start("error", f.TextMax), t.start("stack", f.TextMax),
		fmt.Sprintf(t.Dialect.Micros, "created_at"), fmt.Sprintf(t.Dialect.Micros, "failed_at"))
	cut := f.Name != "" && f.TextMax > 0
	if cut {
		columns += ", " + t.doubtful()
	}
	var jobs []FailedJob
	err := untilFull(f.Limit, func(n int) (read, passed int, err error) {
		s := t.statement("SELECT %s FROM %s", columns, t.Table("failed_jobs"))
		s.whereFailed(f)
		s.Add(" ORDER BY id DESC LIMIT %d", n)
		err = s.Each(ctx, t.DB, func(scan func(...any) error) error {
			var j FailedJob
			var payload, doubtful []byte
			dest := []any{
				&j.ID, &j.JobID, &j.Queue, &j.Priority, &payload, &j.Attempts, &j.UniqueKey, &j.Error, &j.Stack, &j.CreatedAt, &j.FailedAt,
			}
			if cut {
				dest = append(dest, &doubtful)
			}
			err := scan(sqldb.Reading(dest...)...)
			if read, f.Before = read+1, j.ID; f.Name != "" && !cut {
				doubtful = payload
			}
			j.Payload, j.Attempts = payload, max(j.Attempts, 0)
			if len(jobs) < f.Limit && (f.Name == "" || isNamed(f.Name, doubtful)) {
				jobs = append(jobs, j)
			}
			return err
		})
		return read, len(jobs), err
	})
	return jobs, err
}

func (s *statement) whereFailed(f FailedFilter) {
	s.Add(" WHERE id BETWEEN 1 AND %d", math.MaxInt64)
	if f.IDs != nil {
		s.Add(" AND %s", s.In("id", f.IDs))
	}
	if f.Before != 0 {
		s.Add(" AND id < %s", s.Arg(f.Before))
	}
	if f.Queue != "" {
		s.Add(" AND queue = %s", s.Arg(f.Queue))
	}
	if f.Name != "" {
		s.whereName(f.Name)
	}
	if f.Error != "" {
		s.Add(" AND "+s.Dialect.Like, "error", s.Arg(s.Dialect.Pattern(strings.Split(f.Error, "*"))))
	}
	if f.OlderThan != 0 {
		s.Add(" AND failed_at <= %s", s.Ago(f.OlderThan))
	}
}

// failedGroups returns the newest failed jobs that pass the filter, each as a group of its own: most errors differ from each
// other somehow, and to find those that do not would take the database longer than it takes to send them.
func (t *tables) failedGroups(ctx context.Context, f FailedFilter) ([]FailedGroup, error) {
	columns := fmt.Sprintf("id, queue, %s, substr(error, 1, 200), %s", t.nameColumns(), fmt.Sprintf(t.Dialect.Micros, "failed_at"))
	var groups []FailedGroup
	err := untilFull(f.Limit, func(n int) (read, passed int, err error) {
		s := t.statement("SELECT %s FROM %s", columns, t.Table("failed_jobs"))
		s.whereFailed(f)
		s.Add(" ORDER BY id DESC LIMIT %d", n)
		err = s.Each(ctx, t.DB, func(scan func(...any) error) error {
			g := FailedGroup{Count: 1}
			var payload []byte
			err := scan(sqldb.Reading(&g.ID, &g.Queue, &g.Name, &payload, &g.Error, &g.Last)...)
			g.First = g.Last
			read, f.Before = read+1, g.ID
			if len(payload) > 0 {
				g.Name = nameOf(payload)
			}
			if len(groups) < f.Limit && (f.Name == "" || f.Name == g.Name) {
				groups = append(groups, g)
			}
			return err
		})
		return read, len(groups), err
	})
	return groups, err
}

func (t *tables) lockFailed(ctx context.Context, db sqldb.DB, f FailedFilter) ([]int64, error) {
	return t.lock(ctx, db, "failed_jobs", "", f.IDs, "id DESC", f.Limit, f.Name, func(s *statement, ids []int64, after int64) {
		f := f
		f.IDs, f.Before = ids, cmp.Or(after, f.Before)
		s.whereFailed(f)
	})
}

// changeFailed retries or forgets failed jobs. It returns their ids, and those that stay because another job has their unique key.
func (t *tables) changeFailed(ctx context.Context, f FailedFilter, c failedChange) ([]int64, []sqlqueue.Duplicate, error) {
	if c == retryFailed {
		return t.retry(ctx, f)
	}
	ids, err := t.forget(ctx, f)
	return ids, nil, err
}

func (t *tables) forget(ctx context.Context, f FailedFilter) ([]int64, error) {
	var ids []int64
	err := t.Tx(ctx, change{"forget", f.Queue, f.conditions()}, func(db sqldb.DB) (_ int, err error) {
		if ids, err = t.lockFailed(ctx, db, f); err != nil || len(ids) == 0 {
			return 0, err
		}
		return len(ids), t.Delete(ctx, db, "failed_jobs", ids)
	})
	return ids, err
}

func (t *tables) retry(ctx context.Context, f FailedFilter) (retried []int64, duplicates []sqlqueue.Duplicate, err error) {
	err = t.Tx(ctx, change{"retry", f.Queue, f.conditions()}, func(db sqldb.DB) (int, error) {
		retried, duplicates = nil, nil
		ids, err := t.lockFailed(ctx, db, f)
		if err != nil || len(ids) == 0 {
			return 0, err
		}
		retried, duplicates, err = t.putBack(ctx, db, "failed_jobs", ids, t.insertRetried)
		return len(retried), err
	})
	return retried, duplicates, err
}

// putBack moves rows of a table back to the jobs. Those whose unique key another job has stay.
func (t *tables) putBack(ctx context.Context, db sqldb.DB, table string, ids []int64,
	insert func(ctx context.Context, db sqldb.DB, ids []int64, onConflict string) (int64, error),
) (back []int64, duplicates []sqlqueue.Duplicate, err error) {
	keyed, err := t.keyed(ctx, db, table, ids)
	if err != nil {
		return nil, nil, err
	}
	var plain []int64
	for _, id := range ids {
		key, ok := keyed[id]
		if !ok {
			plain = append(plain, id)
			continue
		}
		holder, err := t.holder(ctx, db, key)
		if err != nil {
			return nil, nil, err
		}
		inserted := int64(0)
		if holder == 0 {
			inserted, err = insert(ctx, db, []int64{id}, t.Dialect.KeepHeld)
			if err == nil && inserted == 0 || err != nil && t.KeyHeld(err) { // by a push that was made at the same time
				holder, err = t.holder(ctx, db, key)
			}
			if err != nil {
				return nil, nil, err
			}
		}
		if inserted == 0 {
			key.Holder = holder
			duplicates = append(duplicates, key)
			continue
		}
		back = append(back, id)
	}
	if plain != nil {
		if _, err := insert(ctx, db, plain, ""); err != nil {
			return nil, nil, err
		}
		back = append(back, plain...)
	}
	return back, duplicates, t.Delete(ctx, db, table, back)
}

func (t *tables) keyed(ctx context.Context, db sqldb.DB, table string, ids []int64) (map[int64]sqlqueue.Duplicate, error) {
	s := t.statement("SELECT id, queue, unique_key FROM %s", t.Table(table))
	s.Add(" WHERE unique_key IS NOT NULL AND %s", s.In("id", ids))
	keys := map[int64]sqlqueue.Duplicate{}
	err := s.Each(ctx, db, func(scan func(...any) error) error {
		var d sqlqueue.Duplicate
		err := scan(sqldb.Reading(&d.Failed, &d.Queue, &d.Key)...)
		keys[d.Failed] = d
		return err
	})
	return keys, err
}

// holder returns the id of the job that has the key, or 0.
func (t *tables) holder(ctx context.Context, db sqldb.DB, d sqlqueue.Duplicate) (id int64, err error) {
	s := t.statement("SELECT id FROM %s", t.Table("jobs"))
	s.Add(" WHERE queue = %s", s.Arg(d.Queue))
	s.Add(" AND unique_key = %s", s.Arg(d.Key))
	err = s.Each(ctx, db, func(scan func(...any) error) error { return scan(&id) })
	return id, err
}

// retriedColumns are what a failed job brings back to the jobs.
const retriedColumns = "queue, priority, payload, unique_key"

func (t *tables) insertRetried(ctx context.Context, db sqldb.DB, ids []int64, onConflict string) (inserted int64, err error) {
	s := t.statement("INSERT INTO %[1]s (%[2]s, available_at, created_at) SELECT %[2]s, ", t.Table("jobs"), retriedColumns)
	s.Add("%s, ", s.Now())
	s.Add("%s FROM %s", s.Now(), t.Table("failed_jobs"))
	s.Add(" WHERE %s ORDER BY id%s", s.In("id", ids), onConflict)
	return s.Exec(ctx, db)
}

package operator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// FailedJobs is that of sqlqueue.Store.
func (q *Queries) FailedJobs(ctx context.Context, f sqlqueue.FailedFilter) ([]sqlqueue.FailedJob, error) {
	columns := fmt.Sprintf("id, job_id, queue, priority, %s, attempts, unique_key, %s, %s, %s, %s", q.start("payload", f.TextMax),
		q.start("error", f.TextMax), q.start("stack", f.TextMax), fmt.Sprintf(q.Dialect.Micros, "created_at"), fmt.Sprintf(q.Dialect.Micros, "failed_at"))
	cut := f.Name != "" && f.TextMax > 0
	if cut {
		columns += ", " + q.doubtful()
	}
	var jobs []sqlqueue.FailedJob
	err := untilFull(f.Limit, func(n int) (read, passed int, err error) {
		s := q.statement("SELECT %s FROM %s", columns, q.Table("failed_jobs"))
		s.whereFailed(f)
		s.add(" ORDER BY id DESC LIMIT %d", n)
		err = s.each(ctx, q.DB, func(scan func(...any) error) error {
			var j sqlqueue.FailedJob
			var payload, doubtful []byte
			dest := []any{&j.ID, &j.JobID, &j.Queue, &j.Priority, &payload, &j.Attempts, &j.UniqueKey, &j.Error, &j.Stack, &j.CreatedAt, &j.FailedAt}
			if cut {
				dest = append(dest, &doubtful)
			}
			err := scan(reading(dest...)...)
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

func (s *statement) whereFailed(f sqlqueue.FailedFilter) {
	s.add(" WHERE id BETWEEN 1 AND %d", math.MaxInt64)
	if f.IDs != nil {
		s.add(" AND %s", s.in("id", f.IDs))
	}
	if f.Before != 0 {
		s.add(" AND id < %s", s.arg(f.Before))
	}
	if f.Queue != "" {
		s.add(" AND queue = %s", s.arg(f.Queue))
	}
	if f.Name != "" {
		s.whereName(f.Name)
	}
	if f.Error != "" {
		s.add(" AND "+s.dialect.Like, "error", s.arg(s.dialect.Pattern(strings.Split(f.Error, "*"))))
	}
	if f.OlderThan != 0 {
		s.add(" AND failed_at <= %s", s.ago(f.OlderThan))
	}
}

// FailedGroups is that of sqlqueue.Store. Each failed job is a group: most errors differ from each other somehow, and to find those that do
// not would take the database longer than it takes to send them.
func (q *Queries) FailedGroups(ctx context.Context, f sqlqueue.FailedFilter) ([]sqlqueue.FailedGroup, error) {
	columns := fmt.Sprintf("id, queue, %s, %s, substr(error, 1, 200), %s", q.plainName(), q.doubtful(), fmt.Sprintf(q.Dialect.Micros, "failed_at"))
	var groups []sqlqueue.FailedGroup
	err := untilFull(f.Limit, func(n int) (read, passed int, err error) {
		s := q.statement("SELECT %s FROM %s", columns, q.Table("failed_jobs"))
		s.whereFailed(f)
		s.add(" ORDER BY id DESC LIMIT %d", n)
		err = s.each(ctx, q.DB, func(scan func(...any) error) error {
			g := sqlqueue.FailedGroup{Count: 1}
			var doubtful []byte
			err := scan(reading(&g.ID, &g.Queue, &g.Name, &doubtful, &g.Error, &g.Last)...)
			g.First = g.Last
			read, f.Before = read+1, g.ID
			if len(doubtful) > 0 {
				g.Name = nameOf(doubtful)
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

func (q *Queries) lockFailed(ctx context.Context, db DB, f sqlqueue.FailedFilter) ([]int64, error) {
	return q.lock(ctx, db, "failed_jobs", "", f.IDs, "id DESC", f.Limit, f.Name, func(s *statement, ids []int64, after int64) {
		f := f
		f.IDs, f.Before = ids, cmp.Or(after, f.Before)
		s.whereFailed(f)
	})
}

// ChangeFailed is that of sqlqueue.Store.
func (q *Queries) ChangeFailed(ctx context.Context, f sqlqueue.FailedFilter, c sqlqueue.FailedChange) ([]int64, []sqlqueue.Duplicate, error) {
	if c == sqlqueue.RetryFailed {
		return q.retry(ctx, f)
	}
	ids, err := q.forget(ctx, f)
	return ids, nil, err
}

func (q *Queries) forget(ctx context.Context, f sqlqueue.FailedFilter) ([]int64, error) {
	var ids []int64
	err := q.Tx(ctx, func(db DB) (err error) {
		if ids, err = q.lockFailed(ctx, db, f); err != nil || len(ids) == 0 {
			return err
		}
		return q.delete(ctx, db, "failed_jobs", ids)
	})
	return ids, err
}

func (q *Queries) retry(ctx context.Context, f sqlqueue.FailedFilter) (retried []int64, duplicates []sqlqueue.Duplicate, err error) {
	err = q.Tx(ctx, func(db DB) error {
		retried, duplicates = nil, nil
		ids, err := q.lockFailed(ctx, db, f)
		if err != nil || len(ids) == 0 {
			return err
		}
		keyed, err := q.keyed(ctx, db, ids)
		if err != nil {
			return err
		}
		var plain []int64
		for _, id := range ids {
			key, ok := keyed[id]
			if !ok {
				plain = append(plain, id)
				continue
			}
			holder, err := q.holder(ctx, db, key)
			if err != nil {
				return err
			}
			inserted := int64(0)
			if holder == 0 {
				inserted, err = q.insertRetried(ctx, db, []int64{id}, q.Dialect.KeepHeld)
				if err == nil && inserted == 0 || err != nil && q.keyHeld(err) { // by a push that was made at the same time
					holder, err = q.holder(ctx, db, key)
				}
				if err != nil {
					return err
				}
			}
			if inserted == 0 {
				key.Holder = holder
				duplicates = append(duplicates, key)
				continue
			}
			retried = append(retried, id)
		}
		if plain != nil {
			if _, err := q.insertRetried(ctx, db, plain, ""); err != nil {
				return err
			}
			retried = append(retried, plain...)
		}
		return q.delete(ctx, db, "failed_jobs", retried)
	})
	return retried, duplicates, err
}

func (q *Queries) keyed(ctx context.Context, db DB, ids []int64) (map[int64]sqlqueue.Duplicate, error) {
	s := q.statement("SELECT id, queue, unique_key FROM %s", q.Table("failed_jobs"))
	s.add(" WHERE unique_key IS NOT NULL AND %s", s.in("id", ids))
	keys := map[int64]sqlqueue.Duplicate{}
	err := s.each(ctx, db, func(scan func(...any) error) error {
		var d sqlqueue.Duplicate
		err := scan(reading(&d.Failed, &d.Queue, &d.Key)...)
		keys[d.Failed] = d
		return err
	})
	return keys, err
}

// holder returns the id of the job that has the key, or 0.
func (q *Queries) holder(ctx context.Context, db DB, d sqlqueue.Duplicate) (id int64, err error) {
	s := q.statement("SELECT id FROM %s", q.Table("jobs"))
	s.add(" WHERE queue = %s", s.arg(d.Queue))
	s.add(" AND unique_key = %s", s.arg(d.Key))
	err = s.each(ctx, db, func(scan func(...any) error) error { return scan(&id) })
	return id, err
}

func (q *Queries) insertRetried(ctx context.Context, db DB, ids []int64, onConflict string) (inserted int64, err error) {
	s := q.statement("INSERT INTO %s (queue, priority, payload, unique_key, available_at, created_at) SELECT queue, priority, payload, unique_key, ",
		q.Table("jobs"))
	s.add("%s, ", s.now())
	s.add("%s FROM %s", s.now(), q.Table("failed_jobs"))
	s.add(" WHERE %s ORDER BY id%s", s.in("id", ids), onConflict)
	return s.exec(ctx, db)
}

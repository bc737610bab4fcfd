package sqlitequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// mostPayload bounds the payloads of one statement, in bytes. SQLite takes a string of up to a billion.
const mostPayload = 8 << 20

// Push implements driver.Store.
func (s *store) Push(ctx context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	var pushed []driver.Pushed
	write := s.promptly
	once := sqldb.Once(jobs)
	if len(jobs) == 1 && !s.bound && !once && !jobs[0].Replace {
		write = s.writeOne
	}
	err := write(ctx, func(db sqldb.Executor) error {
		var err error
		if once {
			pushed, err = s.pushOnce(ctx, db, jobs)
		} else {
			pushed, err = s.pushAll(ctx, db, jobs)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.learn(jobs)
	return pushed, nil
}

// pushIn is sqldb.Database.Insert.
func (s *store) pushIn(ctx context.Context, db sqldb.DB, jobs []driver.NewJob) ([]driver.Pushed, error) {
	tx, ok := sqldb.ExecutorOf(db)
	if !ok {
		return nil, errors.New("jobs can only be inserted in a transaction")
	}
	pushed, err := s.pushAll(ctx, tx, jobs)
	if err == nil {
		s.learn(jobs)
	}
	return pushed, err
}

func (s *store) pushAll(ctx context.Context, db sqldb.Executor, jobs []driver.NewJob) ([]driver.Pushed, error) {
	pushed := make([]driver.Pushed, 0, len(jobs))
	now := time.Now()
	for left := jobs; len(left) > 0; {
		n := alike(left)
		made, err := s.pushAlike(ctx, db, left[:n], now)
		if err != nil {
			return nil, err
		}
		pushed, left = append(pushed, made...), left[n:]
	}
	return pushed, nil
}

// learn remembers where jobs were pushed to.
func (s *store) learn(jobs []driver.NewJob) {
	for l := range lane.Of(jobs) {
		s.lanes.Learn(l.Queue, l.Priority)
		s.turns.Learn(l.Queue)
		s.places.Pushed(l)
	}
}

// alike returns how many jobs, from the first on, one statement can insert: jobs without a unique key that differ only by payload. All jobs
// of a call are inserted in their order, so that their ids ascend.
func alike(jobs []driver.NewJob) int {
	size := len(jobs[0].Payload)
	for n := 1; n < len(jobs); n++ {
		size += len(jobs[n].Payload)
		if !sqldb.Alike(&jobs[0], &jobs[n]) || size > mostPayload {
			return n
		}
	}
	return len(jobs)
}

func (s *store) pushAlike(ctx context.Context, db sqldb.Executor, jobs []driver.NewJob, now time.Time) ([]driver.Pushed, error) {
	at := jobs[0].At
	if at.IsZero() {
		at = now.Add(jobs[0].Delay)
	}
	if len(jobs) == 1 {
		pushed, err := s.pushOne(ctx, db, jobs[0], at.UnixMicro(), now.UnixMicro())
		return []driver.Pushed{pushed}, err
	}
	return s.pushMany(ctx, db, jobs, at.UnixMicro(), now.UnixMicro())
}

// insertJob inserts one job, unless another has its unique key: ?1 queue, ?2 priority, ?3 payload, ?4 available_at, ?5 created_at,
// ?6 unique_key, ?7 unique_until.
var insertJob = newStatement(`
INSERT INTO "jobs" (queue, priority, payload, available_at, created_at, unique_key, unique_until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (queue, unique_key) WHERE unique_key IS NOT NULL DO NOTHING`)

// selectHolder returns the job of the queue ?1 that has the unique key ?2.
var selectHolder = newStatement(`SELECT id FROM "jobs" WHERE queue = ?1 AND unique_key = ?2`)

func (s *store) pushOne(ctx context.Context, db sqldb.Executor, job driver.NewJob, at, now int64) (driver.Pushed, error) {
	var key any
	if job.UniqueKey != "" {
		key = job.UniqueKey
	}
	if job.Replace {
		if pushed, err := s.replace(ctx, db, job, at, now); err != nil || pushed.ID != 0 {
			return pushed, err
		}
	}
	id, inserted, err := s.insert(ctx, db, insertJob, job.Queue, job.Priority, string(job.Payload), at, now, key, job.UntilStarted)
	if err != nil || inserted == 1 {
		return driver.Pushed{ID: id}, err
	}
	ids, err := s.ids(ctx, db, selectHolder, job.Queue, job.UniqueKey)
	return driver.Pushed{ID: only(ids), Duplicate: true}, err
}

func only(ids []int64) int64 {
	if len(ids) == 0 {
		return 0
	}
	return ids[0]
}

// insertJobs inserts a job for each payload of ?1, [payload, …]: ?2 queue, ?3 priority, ?4 available_at, ?5 created_at. A payload is a
// JSON string there, so that every byte of it is kept.
var insertJobs = newStatement(`
INSERT INTO "jobs" (queue, priority, payload, available_at, created_at)
SELECT ?2, ?3, value, ?4, ?5 FROM json_each(?1) ORDER BY key`)

// selectSequence returns the last id that the table ?1 has given.
var selectSequence = newStatement(`SELECT seq FROM sqlite_sequence WHERE name = ?1`)

// selectInserted returns the jobs after ?1 and up to ?2, in their order, that were inserted with ?3 queue, ?4 priority, ?5 available_at,
// ?6 created_at.
var selectInserted = newStatement(`
SELECT id FROM "jobs" WHERE id > ?1 AND id <= ?2 AND queue = ?3 AND priority = ?4 AND available_at = ?5 AND created_at = ?6 ORDER BY id`)

func (s *store) pushMany(ctx context.Context, db sqldb.Executor, jobs []driver.NewJob, at, now int64) ([]driver.Pushed, error) {
	payloads := make([]string, len(jobs))
	for i, job := range jobs {
		payloads[i] = string(job.Payload)
	}
	sequence, err := s.ids(ctx, db, selectSequence, s.Prefix+"jobs")
	if err != nil {
		return nil, err
	}
	before, queue, priority := only(sequence), jobs[0].Queue, jobs[0].Priority
	last, inserted, err := s.insert(ctx, db, insertJobs, toJSON(payloads), queue, priority, at, now)
	if err != nil {
		return nil, err
	}
	// Rows are inserted in the order of the SELECT, and their ids ascend (AUTOINCREMENT): by one, unless a trigger inserts jobs in between.
	// RETURNING would cost half as much as the INSERT itself.
	var ids []int64
	if last-before != inserted {
		ids, err = s.ids(ctx, db, selectInserted, before, last, queue, priority, at, now)
	} else {
		for id := before + 1; id <= last; id++ {
			ids = append(ids, id)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(ids) != len(jobs) {
		return nil, fmt.Errorf("%d rows were inserted for %d jobs", len(ids), len(jobs))
	}
	pushed := make([]driver.Pushed, len(jobs))
	for i, id := range ids {
		pushed[i].ID = id
	}
	return pushed, nil
}

// insert returns the last id, and how many rows were inserted.
func (s *store) insert(ctx context.Context, db sqldb.Executor, statement *statement, args ...any) (last, inserted int64, err error) {
	result, err := db.ExecContext(ctx, s.sql.text[statement], args...)
	if err != nil {
		return 0, 0, translate(err)
	}
	last, err = result.LastInsertId()
	if err != nil {
		return 0, 0, err
	}
	inserted, err = result.RowsAffected()
	return last, inserted, err
}

func (s *store) ids(ctx context.Context, db sqldb.Executor, statement *statement, args ...any) ([]int64, error) {
	var ids []int64
	err := sqldb.Each(ctx, sqldb.SQL(db, translate), s.sql.text[statement], args, func(scan func(...any) error) error {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// toJSON encodes lists of numbers, strings and nil, which cannot fail.
func toJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

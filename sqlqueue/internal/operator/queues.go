package operator

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Queues is that of sqlqueue.Store.
func (q *Queries) Queues(ctx context.Context, most int64) ([]sqlqueue.QueueInfo, error) {
	queues := map[string]*sqlqueue.QueueInfo{}
	queue := func(name string) *sqlqueue.QueueInfo {
		if queues[name] == nil {
			queues[name] = &sqlqueue.QueueInfo{Queue: name, CountedTo: most, Control: sqlqueue.Control{Queue: name}}
		}
		return queues[name]
	}
	var err error
	if most == 0 {
		err = q.countAll(ctx, queue)
	} else {
		err = q.countTo(ctx, most, queue)
	}
	if err != nil {
		return nil, err
	}

	controls, err := q.Controls(ctx, q.DB, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range controls {
		queue(c.Queue).Control = c
	}
	var infos []sqlqueue.QueueInfo
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		info := *queues[name]
		info.Queue = strings.ToValidUTF8(info.Queue, "\uFFFD") // as it is, it was needed to find its jobs
		info.Control.Queue = info.Queue
		infos = append(infos, info)
	}
	return infos, nil
}

// countAll reads both tables.
func (q *Queries) countAll(ctx context.Context, queue func(name string) *sqlqueue.QueueInfo) error {
	s := q.statement("SELECT queue, ")
	s.add("count(CASE WHEN NOT reserved AND available_at <= %s THEN 1 END), ", s.ago(0))
	s.add("count(CASE WHEN NOT reserved AND available_at > %s THEN 1 END), ", s.ago(0))
	s.add("count(CASE WHEN reserved THEN 1 END), ")
	s.add(q.Dialect.Micros, fmt.Sprintf("min(CASE WHEN NOT reserved AND available_at <= %s THEN available_at END)", s.ago(0)))
	s.add(" FROM %s%s GROUP BY queue", q.Table("jobs"), q.Dialect.ByID)
	if err := s.each(ctx, q.DB, func(scan func(...any) error) error {
		var counted sqlqueue.QueueInfo
		if err := scan(reading(&counted.Queue, &counted.Ready, &counted.Delayed, &counted.Reserved, &counted.Oldest)...); err != nil {
			return err
		}
		to := queue(counted.Queue)
		to.Ready, to.Delayed, to.Reserved, to.Oldest = counted.Ready, counted.Delayed, counted.Reserved, counted.Oldest
		return nil
	}); err != nil {
		return err
	}
	s = q.statement("SELECT queue, count(*) FROM %s GROUP BY queue", q.Table("failed_jobs"))
	return s.each(ctx, q.DB, func(scan func(...any) error) error {
		var name string
		var count int64
		err := scan(reading(&name, &count)...)
		queue(name).Failed = count
		return err
	})
}

// Controls returns the controls of the queues, and of all under the empty name; every control there is when queues is nil.
func (q *Queries) Controls(ctx context.Context, db DB, queues []string) ([]sqlqueue.Control, error) {
	s := q.statement("%s", q.SelectControls())
	if queues != nil {
		names := []string{s.arg("")}
		for _, name := range queues {
			names = append(names, s.arg(name))
		}
		s.add(" WHERE queue IN (%s)", strings.Join(names, ", "))
	}
	var controls []sqlqueue.Control
	err := s.each(ctx, db, func(scan func(...any) error) error {
		c, err := ScanControl(scan)
		controls = append(controls, c)
		return err
	})
	return controls, err
}

// SelectControls is a SELECT without conditions of what ScanControl reads. A pause that has passed reads as none.
func (q *Queries) SelectControls() string {
	now := q.Dialect.Now
	if now == "" {
		now = fmt.Sprintf(q.Dialect.Time, fmt.Sprint(time.Now().UnixMicro()))
	}
	return fmt.Sprintf("SELECT queue, paused AND (paused_until IS NULL OR paused_until > %s), %s, restarts, maintenance, expire_ms IS NOT NULL, expire_ms FROM %s",
		now, fmt.Sprintf(q.Dialect.Micros, "paused_until"), q.Table("queues"))
}

// ScanControl reads a row of SelectControls.
func ScanControl(scan func(...any) error) (sqlqueue.Control, error) {
	var c sqlqueue.Control
	var until time.Time
	var expires bool
	var expire int64
	err := scan(reading(&c.Queue, &c.Paused, &until, &c.Restarts, &c.Maintenance, &expires, &expire)...)
	if c.Paused {
		c.PausedUntil = until
	}
	if expires {
		d := milliseconds(expire)
		c.Expire = &d
	}
	return c, err
}

// Control is that of sqlqueue.Store.
func (q *Queries) Control(ctx context.Context, queue string, c sqlqueue.ControlChange) error {
	return q.Tx(ctx, func(db DB) error {
		s := q.statement("INSERT INTO %s (queue) VALUES ", q.Table("queues"))
		s.add("(%s)%s", s.arg(queue), q.Dialect.OnConflict)
		if _, err := s.exec(ctx, db); err != nil {
			return err
		}

		s = q.statement("UPDATE %s SET restarts = CASE WHEN restarts < %d THEN restarts + %d ELSE restarts END",
			q.Table("queues"), math.MaxInt64, map[bool]int{true: 1}[c.Restart])
		switch {
		case c.Pause && c.PauseFor > 0:
			s.add(", paused = %s", s.arg(true))
			s.add(", paused_until = %s", s.after(c.PauseFor))
		case c.Pause, c.Resume:
			s.add(", paused = %s, paused_until = NULL", s.arg(c.Pause))
		}
		if c.Maintenance != nil {
			s.add(", maintenance = %s", s.arg(*c.Maintenance))
		}
		switch {
		case c.Expire != nil:
			s.add(", expire_ms = %s", s.arg(c.Expire.Milliseconds()))
		case c.ResetExpire:
			s.add(", expire_ms = NULL")
		}
		s.add(" WHERE queue = %s", s.arg(queue))
		_, err := s.exec(ctx, db)
		return err
	})
}

// ChangeWorker is that of sqlqueue.Store. It counts by a SELECT: MySQL does not count a row that an UPDATE leaves as it was.
func (q *Queries) ChangeWorker(ctx context.Context, id string, wanted int) (found bool, err error) {
	err = q.Tx(ctx, func(db DB) error {
		found = false
		s := q.statement("SELECT id FROM %s", q.Table("workers"))
		s.add(" WHERE id = %s %s", s.arg(id), q.Dialect.ForUpdate)
		if err := s.each(ctx, db, func(func(...any) error) error { found = true; return nil }); err != nil || !found {
			return err
		}
		s = q.statement("UPDATE %s SET wanted_concurrency = ", q.Table("workers"))
		s.add("%s", s.arg(sql.NullInt64{Int64: int64(wanted), Valid: wanted > 0}))
		s.add(" WHERE id = %s", s.arg(id))
		_, err := s.exec(ctx, db)
		return err
	})
	return found, err
}

// Workers is that of sqlqueue.Store.
func (q *Queries) Workers(ctx context.Context) ([]sqlqueue.Worker, error) {
	s := q.statement("SELECT id, name, host, pid, queues, concurrency, wanted_concurrency, %s, %s FROM %s ORDER BY started_at, id",
		fmt.Sprintf(q.Dialect.Micros, "started_at"), fmt.Sprintf(q.Dialect.Micros, "seen_at"), q.Table("workers"))
	var workers []sqlqueue.Worker
	err := s.each(ctx, q.DB, func(scan func(...any) error) error {
		var w sqlqueue.Worker
		var queues string
		err := scan(reading(&w.ID, &w.Name, &w.Host, &w.PID, &queues, &w.Concurrency, &w.WantedConcurrency, &w.StartedAt, &w.SeenAt)...)
		w.Queues = strings.Split(queues, ",")
		workers = append(workers, w)
		return err
	})
	return workers, err
}

package operator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/rule"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// QueueInfo is what a queue holds. No number is greater than CountedTo, if that is not zero: one that is as great stands for so many
// or more.
type QueueInfo struct {
	Queue     string    `json:"queue"`
	Ready     int64     `json:"ready"`
	Delayed   int64     `json:"delayed"`
	Reserved  int64     `json:"reserved"`
	Failed    int64     `json:"failed"`
	Oldest    time.Time `json:"oldest,omitzero"` // since when the oldest ready job has been available; zero: none is ready
	CountedTo int64     `json:"counted_to,omitzero"`
	Control   Control   `json:"control"`
}

// ControlChange is what an operator says. Fields left at their zero value leave things as they are.
type ControlChange struct {
	Pause    bool
	PauseFor time.Duration // with Pause: 0 until resumed
	Resume   bool

	Restart bool

	Maintenance *bool

	Expire      *time.Duration // 0: never
	ResetExpire bool           // back to each worker's own
}

// Queues returns what the queues hold, by name; under the empty name stands what was said about all queues. Each number is counted up to
// most, so that millions of jobs take no longer: see QueueInfo.CountedTo. 0: however far it goes.
func (o *Operator) Queues(ctx context.Context, most int64) ([]QueueInfo, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("queues", err)
	}
	if most < 0 {
		return nil, wrap("queues", fmt.Errorf("a count up to %d: it must be at least 1, or 0 for no limit", most))
	}
	queues, err := t.queues(ctx, most)
	return queues, wrap("queues", err)
}

// IsControlled reports whether an operator has said something about the queue that holds now.
func (i QueueInfo) IsControlled() bool {
	return i.Control.Paused || i.Control.Maintenance || i.Control.Expire != nil
}

// HeldQueues is Queues without the row of all queues if nothing was said about all of them.
func (o *Operator) HeldQueues(ctx context.Context, most int64) ([]QueueInfo, error) {
	queues, err := o.Queues(ctx, most)
	if len(queues) > 0 && queues[0].Queue == "" && !queues[0].IsControlled() {
		queues = queues[1:]
	}
	return queues, err
}

// Control tells the workers of a queue, or under the empty name or * all workers, what an operator wants.
func (o *Operator) Control(ctx context.Context, queue string, c ControlChange) error {
	t, err := o.open(ctx)
	if err != nil {
		return wrap("control", err)
	}
	if queue == "*" {
		queue = ""
	}
	if queue != "" {
		if err := sqlqueue.CheckQueueName(queue); err != nil {
			return wrap("control", err)
		}
	}
	switch {
	case c.Pause && c.Resume:
		err = errors.New("pause and resume at once")
	case c.PauseFor < 0 || c.PauseFor > rule.MaxDelay:
		err = fmt.Errorf("a pause of %v: it must be between 0 (until resumed) and a hundred years", c.PauseFor)
	case c.Expire != nil && (*c.Expire < 0 || *c.Expire > rule.MaxDelay):
		err = fmt.Errorf("an expire of %v: it must be between 0 (never) and a hundred years", *c.Expire)
	default:
		err = t.control(ctx, queue, c)
	}
	return wrap("control", err)
}

// queues counts what each queue holds, up to most, and adds what was said about it. The entry for all queues comes first.
func (t *tables) queues(ctx context.Context, most int64) ([]QueueInfo, error) {
	queues := map[string]*QueueInfo{}
	queue := func(name string) *QueueInfo {
		if queues[name] == nil {
			queues[name] = &QueueInfo{Queue: name, CountedTo: most, Control: Control{Queue: name}}
		}
		return queues[name]
	}
	var err error
	if most == 0 {
		err = t.countAll(ctx, queue)
	} else {
		var sizes []sqldb.QueueSize
		sizes, err = t.Sizes(ctx, most)
		for _, s := range sizes {
			info := queue(s.Queue)
			info.Ready, info.Delayed, info.Reserved, info.Failed, info.Oldest = s.Ready, s.Delayed, s.Reserved, s.Failed, s.Oldest
		}
	}
	if err != nil {
		return nil, err
	}

	controls, err := t.Controls(ctx, t.DB, nil)
	if err != nil {
		return nil, err
	}
	for _, c := range controls {
		queue(c.Queue).Control = c
	}
	var infos []QueueInfo
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		info := *queues[name]
		info.Queue = strings.ToValidUTF8(info.Queue, "\uFFFD") // as it is, it was needed to find its jobs
		info.Control.Queue = info.Queue
		infos = append(infos, info)
	}
	return infos, nil
}

// countAll reads both tables.
func (t *tables) countAll(ctx context.Context, queue func(name string) *QueueInfo) error {
	s := t.statement("SELECT queue, ")
	s.Add("count(CASE WHEN NOT reserved AND available_at <= %s THEN 1 END), ", s.Ago(0))
	s.Add("count(CASE WHEN NOT reserved AND available_at > %s THEN 1 END), ", s.Ago(0))
	s.Add("count(CASE WHEN reserved THEN 1 END), ")
	s.Add(t.Dialect.Micros, fmt.Sprintf("min(CASE WHEN NOT reserved AND available_at <= %s THEN available_at END)", s.Ago(0)))
	s.Add(" FROM %s%s GROUP BY queue", t.Table("jobs"), t.Dialect.ByID)
	if err := s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var counted QueueInfo
		if err := scan(sqldb.Reading(&counted.Queue, &counted.Ready, &counted.Delayed, &counted.Reserved, &counted.Oldest)...); err != nil {
			return err
		}
		to := queue(counted.Queue)
		to.Ready, to.Delayed, to.Reserved, to.Oldest = counted.Ready, counted.Delayed, counted.Reserved, counted.Oldest
		return nil
	}); err != nil {
		return err
	}
	s = t.statement("SELECT queue, count(*) FROM %s GROUP BY queue", t.Table("failed_jobs"))
	return s.Each(ctx, t.DB, func(scan func(...any) error) error {
		var name string
		var count int64
		err := scan(sqldb.Reading(&name, &count)...)
		queue(name).Failed = count
		return err
	})
}

// control writes what an operator says about a queue, or under the empty name about all queues.
func (t *tables) control(ctx context.Context, queue string, c ControlChange) error {
	return t.Tx(ctx, c.action(queue), func(db sqldb.DB) (int, error) {
		s := t.statement("INSERT INTO %s (queue) VALUES ", t.Table("job_queues"))
		s.Add("(%s)%s", s.Arg(queue), t.Dialect.OnConflict)
		if _, err := s.Exec(ctx, db); err != nil {
			return 0, err
		}

		s = t.statement("UPDATE %s SET restarts = CASE WHEN restarts < %d THEN restarts + %d ELSE restarts END",
			t.Table("job_queues"), math.MaxInt64, map[bool]int{true: 1}[c.Restart])
		switch {
		case c.Pause && c.PauseFor > 0:
			s.Add(", paused = %s", s.Arg(true))
			s.Add(", paused_until = %s", s.After(c.PauseFor))
		case c.Pause, c.Resume:
			s.Add(", paused = %s, paused_until = NULL", s.Arg(c.Pause))
		}
		if c.Maintenance != nil {
			s.Add(", maintenance = %s", s.Arg(*c.Maintenance))
		}
		switch {
		case c.Expire != nil:
			s.Add(", expire_ms = %s", s.Arg(c.Expire.Milliseconds()))
		case c.ResetExpire:
			s.Add(", expire_ms = NULL")
		}
		s.Add(" WHERE queue = %s", s.Arg(queue))
		_, err := s.Exec(ctx, db)
		return 1, err
	})
}

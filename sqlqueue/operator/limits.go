package operator

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Limit is how many jobs may run, or begin in a time. Without Running and Rate it is none.
//
// Under the name mail it is of the queue mail and all queues below it together, under mail/* of each queue below mail by itself, and under
// mail/42 of that queue, instead of what mail/* says. Under * it is of each queue of which nothing else says so.
type Limit = sqldb.Limit

// Limits returns all limits, by name.
func (o *Operator) Limits(ctx context.Context) ([]Limit, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("limits", err)
	}
	limits, err := t.Limits(ctx)
	return limits, wrap("limits", err)
}

// LimitsOf returns those of all limits that hold for a queue: its own or else that of the nearest pattern, and those of the levels above
// it.
func LimitsOf(all []Limit, queue string) []Limit {
	by := map[string]Limit{}
	for _, l := range all {
		by[l.Queue] = l
	}
	var limits []Limit
	for _, l := range sqldb.LimitsOf(by, queue) {
		limits = append(limits, l.Limit)
	}
	return limits
}

// SetLimit sets the whole limit of a queue or a pattern, or with neither Running nor Rate removes it. Workers obey within a second. What
// runs above a lower limit is not ended.
func (o *Operator) SetLimit(ctx context.Context, l Limit) error {
	t, err := o.open(ctx)
	if err == nil {
		err = checkLimit(l)
	}
	if err == nil {
		err = t.setLimit(ctx, l)
	}
	return wrap("limit", err)
}

func checkLimit(l Limit) error {
	const mostPer = 24 * time.Hour
	if err := sqlqueue.CheckQueueName(l.Queue); err != nil {
		return err
	}
	switch stars := strings.Count(l.Queue, "*"); {
	case stars > 1, stars == 1 && !driver.IsPattern(l.Queue):
		return fmt.Errorf("a limit of %q: a pattern ends in /*, such as mail/*, or is *", l.Queue)
	case l.Running < 0 || l.Running > math.MaxInt32:
		return fmt.Errorf("%d jobs running: it must be at least 1, or 0 for any number (pause stops a queue)", l.Running)
	case l.Rate < 0 || l.Rate > math.MaxInt32:
		return fmt.Errorf("a rate of %d: it must be at least 1, or 0 for any number", l.Rate)
	case l.Rate > 0 && (l.Per < time.Millisecond || l.Per > mostPer):
		return fmt.Errorf("a rate per %v: the time must be from 1 ms to 24 h", l.Per)
	case l.Burst < 0 || l.Burst > math.MaxInt32:
		return fmt.Errorf("a burst of %d: it must be at least 1, or 0 for what one second brings", l.Burst)
	case l.Burst > 0 && l.Rate == 0:
		return fmt.Errorf("a burst of %d without a rate", l.Burst)
	}
	return nil
}

func (t *tables) setLimit(ctx context.Context, l Limit) error {
	if l.Rate == 0 {
		l.Per = 0
	}
	orNull := func(v int64) string {
		if v == 0 {
			return "NULL"
		}
		return fmt.Sprint(v)
	}
	said := map[string]any{"running": l.Running, "rate": l.Rate, "per": l.Per.String(), "burst": l.Burst}
	return t.Tx(ctx, change{"limit", l.Queue, said}, func(db sqldb.DB) (int, error) {
		s := t.statement("DELETE FROM %s WHERE ", t.Table("job_limits"))
		s.Add("queue = %s", s.Arg(l.Queue))
		if n, err := s.Exec(ctx, db); err != nil || l.Running == 0 && l.Rate == 0 {
			return int(n), err
		}
		s = t.statement("INSERT INTO %s (queue, max_running, rate, rate_ms, burst) VALUES (", t.Table("job_limits"))
		s.Add("%s, %s, %s, %s, %s)", s.Arg(l.Queue), orNull(l.Running), orNull(l.Rate), orNull(l.Per.Milliseconds()), orNull(l.Burst))
		n, err := s.Exec(ctx, db)
		return int(n), err
	})
}

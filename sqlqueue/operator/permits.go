package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// Permit is a limit that holds for a queue, and how much of it is used.
type Permit struct {
	Limit // as it was set

	Of      string    // whose jobs are counted: the queue, or one above it
	Below   bool      // those of all queues below Of are counted too
	Running int64     // how many of them run now; 0 if the limit is not one of running jobs
	Next    time.Time // when the next one may begin by the rate, by the database's clock; zero: now
}

// Permits returns the limits that hold for each of the queues that are named, by the queue's name. Queues without a limit are left out.
func (o *Operator) Permits(ctx context.Context, queues ...string) (map[string][]Permit, error) {
	t, err := o.open(ctx)
	if err != nil {
		return nil, wrap("permits", err)
	}
	permits, err := t.permits(ctx, queues)
	return permits, wrap("permits", err)
}

func (t *tables) permits(ctx context.Context, queues []string) (map[string][]Permit, error) {
	permits := map[string][]Permit{}
	limits, err := t.Limits(ctx)
	if err != nil || len(limits) == 0 {
		return permits, err
	}
	by := map[string]Limit{}
	for _, l := range limits {
		by[l.Queue] = l
	}
	var names []string
	levels := map[string]sqldb.Level{}
	for _, queue := range queues {
		for _, k := range sqldb.LimitsOf(by, queue) {
			permits[queue] = append(permits[queue], Permit{Limit: k.Limit, Of: k.Level.Queue, Below: k.Level.Below})
			names = append(names, k.Level.Queue)
			if k.Limit.Running > 0 {
				levels[k.Level.Queue] = k.Level
			}
		}
	}
	if names == nil {
		return permits, nil
	}
	count := make([]sqldb.Level, 0, len(levels))
	for _, level := range levels {
		count = append(count, level)
	}
	running, err := t.Running(ctx, t.DB, count)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	tats, err := t.tats(ctx, slices.Compact(names))
	if err != nil {
		return nil, err
	}
	now, err := t.Clock(ctx)
	if err != nil {
		return nil, err
	}
	for _, of := range permits {
		for i := range of {
			p := &of[i]
			if p.Limit.Running > 0 {
				p.Running = running[p.Of]
			}
			if p.Rate > 0 {
				if n, wait := p.Tokens(tats[p.Of], now.UnixMicro()); n == 0 {
					p.Next = now.Add(wait)
				}
			}
		}
	}
	return permits, nil
}

// tats reads up to when what has begun is paid for, in microseconds since 1970, without a lock.
func (t *tables) tats(ctx context.Context, names []string) (map[string]int64, error) {
	const most = 200
	tats := map[string]int64{}
	for part := range slices.Chunk(names, most) {
		s := t.statement("SELECT queue, tat FROM %s WHERE queue IN (", t.Table("job_permits"))
		places := make([]string, len(part))
		for i, name := range part {
			places[i] = s.Arg(name)
		}
		s.Add("%s)", strings.Join(places, ", "))
		if err := s.Each(ctx, t.DB, func(scan func(...any) error) error {
			var name string
			var tat int64
			err := scan(sqldb.Reading(&name, &tat)...)
			tats[name] = tat
			return err
		}); err != nil {
			return nil, fmt.Errorf("how much of the rates is used: %w", err)
		}
	}
	return tats, nil
}

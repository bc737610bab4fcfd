package turn

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// busy is when to try again a queue whose permit another exchange has, or whose jobs run in the number that is allowed.
const busy = 20 * time.Millisecond

const (
	sweepEvery = time.Minute
	idle       = 10 * time.Minute // how long after its last time a permit is deleted
	mostMade   = 100_000          // permits that are remembered to have a row
)

// rules are the limits that operators have set, and what they have said about keeping finished jobs, as they were up to lane.Interval ago.
type rules struct {
	mu     sync.Mutex
	by     map[string]sqldb.Limit
	keep   map[string]time.Duration // how long finished jobs are kept; it is never changed
	loaded time.Time
	swept  time.Time
	after  string          // where the next sweep goes on
	made   map[string]bool // permits that are known to have a row
}

// key is one limit of a queue. Its name is that of its permit.
type key struct {
	name  string
	limit sqldb.Limit
	below bool // the queue and all below it count together
}

func (r *rules) load(ctx context.Context, d *sqldb.Database) error {
	r.mu.Lock()
	now := time.Now()
	fresh := r.by != nil && now.Sub(r.loaded) < lane.Interval && !now.Before(r.loaded)
	r.mu.Unlock()
	if fresh {
		return nil
	}
	limits, keep, err := d.Rules(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.by, r.keep, r.loaded = map[string]sqldb.Limit{}, keep, now
	for _, l := range limits {
		r.by[l.Queue] = l
	}
	return nil
}

// Keep is Exchanged.Keep.
func (t *Turns) Keep() map[string]time.Duration {
	t.rules.mu.Lock()
	defer t.rules.mu.Unlock()
	return t.rules.keep
}

// concern reports whether a queue has limits.
func (r *rules) concern(queue string) bool { return len(r.of(queue)) > 0 }

// of returns the limits of a queue.
func (r *rules) of(queue string) []key {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []key
	for _, l := range sqldb.LimitsOf(r.by, queue) {
		keys = append(keys, key{l.Level.Queue, l.Limit, l.Level.Below})
	}
	return keys
}

// names are the permits that the plan needs.
func (p *Plan) names() map[string]key {
	names := map[string]key{}
	for _, keys := range p.keys {
		for _, k := range keys {
			names[k.name] = k
		}
	}
	return names
}

// permits makes the rows that are missing, before the transaction of the exchange, and now and then deletes those that have long been idle.
func (r *rules) permits(ctx context.Context, d *sqldb.Database, p *Plan) error {
	names := p.names()
	if len(names) == 0 {
		return nil
	}
	r.mu.Lock()
	var missing []string
	for name := range names {
		if !r.made[name] {
			missing = append(missing, name)
		}
	}
	sweep, after := time.Since(r.swept) >= sweepEvery, r.after
	if sweep {
		r.swept = time.Now()
	}
	r.mu.Unlock()
	if sweep {
		last, err := d.SweepPermits(ctx, after, idle)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.after = last
		r.mu.Unlock()
	}
	if err := d.MakePermits(ctx, missing); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made == nil || len(r.made) > mostMade {
		r.made = map[string]bool{}
	}
	for _, name := range missing {
		r.made[name] = true
	}
	return nil
}

// Permit takes the permits that no other exchange has, and counts what runs. It is called in the transaction that then reserves. Queues of
// which it cannot have all permits give nothing in this exchange.
func (p *Plan) Permit(ctx context.Context, d *sqldb.Database, db sqldb.DB) error {
	names := p.names()
	p.left, p.taken, p.held = map[string]int{}, map[string]int{}, map[string]time.Duration{}
	var err error
	if p.tat, p.now, err = d.TakePermits(ctx, db, slices.Sorted(maps.Keys(names))); err != nil {
		return err
	}
	var count []sqldb.Level
	for name := range p.tat {
		if k := names[name]; k.limit.Running > 0 {
			count = append(count, sqldb.Level{Queue: name, Below: k.below})
		}
	}
	running, err := d.Running(ctx, db, count)
	if err != nil {
		return err
	}
	rest := map[string]time.Duration{}
	for name, k := range names {
		tat, ok := p.tat[name]
		if !ok {
			rest[name] = busy
			p.turns.rules.forget(name)
			continue
		}
		n := math.MaxInt32
		if k.limit.Running > 0 {
			n = int(max(0, k.limit.Running-running[name]))
			rest[name] = busy
		}
		if k.limit.Rate > 0 {
			tokens, until := k.limit.Tokens(tat, p.now)
			if tokens < n {
				n = tokens
			}
			if tokens == 0 {
				rest[name] = max(rest[name], until)
			}
		}
		p.left[name] = n
	}
	for queue, keys := range p.keys {
		for _, k := range keys {
			if p.left[k.name] == 0 {
				p.held[queue] = max(p.held[queue], rest[k.name], time.Millisecond)
			}
		}
	}
	return nil
}

func (r *rules) forget(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.made, name)
}

// Spend writes what was taken from limits of rate. It is called after what was reserved, in the same transaction.
func (p *Plan) Spend(ctx context.Context, d *sqldb.Database, db sqldb.DB) error {
	for name, k := range p.names() {
		if n := p.taken[name]; n > 0 && k.limit.Rate > 0 {
			if err := d.SpendPermit(ctx, db, name, max(p.tat[name], p.now)+int64(n)*k.limit.Interval()); err != nil {
				return err
			}
		}
	}
	return nil
}

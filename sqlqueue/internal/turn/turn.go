// Package turn decides from which queues an exchange takes jobs, and how many from each, when it asks for a pattern of queues or when an
// operator has set limits. Stores then reserve from exact queues only.
package turn

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/lane"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

const (
	quantum   = 10                     // jobs that a queue gives in a turn at least
	leastOpen = 20                     // queues that an exchange asks, if there are so many
	mostOpen  = 200                    // queues that an exchange asks at most
	firstIdle = 20 * time.Millisecond  // how long a queue rests that had no job to give, and twice as long each time
	mostIdle  = time.Second            // how long it rests at most
	idleEach  = 500 * time.Microsecond // or as long as this for each queue of the pattern, so that many do not cost more and more,
	idleMany  = 5 * time.Second        // but no longer than this
	keep      = time.Minute            // how long a queue is remembered that has no job to give
)

// Turns remembers whose turn it is. The zero value knows no queue. It is safe for concurrent use.
type Turns struct {
	mu    sync.Mutex
	lines map[string]*line // by pattern
	rules rules
}

// line is the queues of a pattern.
type line struct {
	queues  []string // those that may be asked, the next in turn first
	state   map[string]*state
	resting restHeap  // the others, and some whose rest was ended before
	barren  bool      // the last exchange has found no job
	after   string    // where the search for queues goes on
	newest  int64     // the id of the newest job that was seen
	looked  time.Time // when a part of it was made last
	whole   bool      // it has come to the end at least once
}

type state struct {
	openAt time.Time // when its rest ends; zero: it does not rest
	idle   time.Duration
	gave   time.Time // when it gave a job, was found or pushed to last
}

// Learn adds a queue that was pushed to, or opens it again, in the line of every pattern that has it.
func (t *Turns) Learn(queue string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pattern, l := range t.lines {
		if driver.InPattern(pattern, queue) {
			l.open(queue, time.Now())
		}
	}
}

func (l *line) add(queue string, now time.Time) {
	if s := l.state[queue]; s != nil {
		s.gave = now
		return
	}
	l.state[queue] = &state{gave: now}
	l.queues = append(l.queues, queue)
}

// open adds a queue, or ends its rest.
func (l *line) open(queue string, now time.Time) {
	l.add(queue, now)
	s := l.state[queue]
	s.idle = 0
	l.end(queue, s)
}

// end ends the rest of a queue.
func (l *line) end(queue string, s *state) {
	if !s.openAt.IsZero() {
		s.openAt = time.Time{}
		l.queues = append(l.queues, queue)
	}
}

// wake ends the rests that are over by now, or all, and returns when the next ends; zero: nobody rests.
func (l *line) wake(now time.Time, all bool) time.Time {
	for len(l.resting) > 0 {
		next := l.resting[0]
		s := l.state[next.queue]
		holds := s != nil && s.openAt.Equal(next.until)
		if holds && next.until.After(now) && !all {
			return next.until
		}
		heap.Pop(&l.resting)
		if holds {
			l.end(next.queue, s)
		}
	}
	return time.Time{}
}

// resting is a queue that is not asked before a time.
type resting struct {
	queue string
	until time.Time
}

// restHeap is a heap.Interface: the rest that ends first is the first.
type restHeap []resting

func (h restHeap) Len() int           { return len(h) }
func (h restHeap) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h restHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *restHeap) Push(x any)        { *h = append(*h, x.(resting)) }
func (h *restHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// see takes in the queues of the newest jobs, with the ids of these. One that has a new job rests no longer.
func (l *line) see(newest map[string]int64, now time.Time) {
	seen := l.newest
	for _, queue := range slices.Sorted(maps.Keys(newest)) {
		if l.newest = max(l.newest, newest[queue]); newest[queue] > seen {
			l.open(queue, now)
		} else {
			l.add(queue, now)
		}
	}
}

// mostRest is how long a queue rests at most that has no job to give.
func (l *line) mostRest() time.Duration {
	return max(mostIdle, min(time.Duration(len(l.state))*idleEach, idleMany))
}

// find looks for queues of the pattern that other processes push to: among the newest jobs, and in a part of all. With all it goes to the
// end.
func (t *Turns) find(ctx context.Context, d *sqldb.Database, pattern string, all bool) error {
	now := time.Now()
	t.mu.Lock()
	if t.lines == nil {
		t.lines = map[string]*line{}
	}
	l := t.lines[pattern]
	if l == nil {
		l = &line{state: map[string]*state{}}
		t.lines[pattern] = l
	}
	after, due := l.after, !l.whole || all || now.Sub(l.looked) >= lane.Interval || now.Before(l.looked)
	if all {
		after = ""
	}
	t.mu.Unlock()
	if !due {
		return nil
	}
	newest, err := d.NewestBelow(ctx, driver.Level(pattern))
	if err != nil {
		return err
	}
	var found []string
	ended := false
	for !ended {
		part, err := d.QueuesBelow(ctx, driver.Level(pattern), after)
		if err != nil {
			return err
		}
		found = append(found, part...)
		if ended = len(part) < d.QueuesAtOnce(); ended {
			after = ""
		} else {
			after = part[len(part)-1]
		}
		if !all {
			break
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l.after, l.looked, l.whole = after, now, l.whole || ended
	l.see(newest, now)
	for _, queue := range found {
		l.add(queue, now)
	}
	return nil
}

// Prepare returns what to do for an exchange that asks for a pattern, or for queues that are limited; nil if it does neither.
func (t *Turns) Prepare(ctx context.Context, d *sqldb.Database, x driver.Exchange) (*Plan, error) {
	if x.Limit <= 0 {
		return nil, nil
	}
	if err := t.rules.load(ctx, d); err != nil {
		return nil, err
	}
	plain := true
	for _, r := range x.Reserve {
		if driver.IsPattern(r.Queue) {
			plain = false
			if err := t.find(ctx, d, r.Queue, x.Everything); err != nil {
				return nil, err
			}
		}
		plain = plain && !strings.Contains(r.Queue, "/") && !t.rules.concern(r.Queue)
	}
	if plain {
		return nil, nil
	}
	p := t.plan(x)
	return p, t.rules.permits(ctx, d, p)
}

// plan chooses the queues.
func (t *Turns) plan(x driver.Exchange) *Plan {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	p := &Plan{
		turns: t, asked: x.Reserve, limit: x.Limit, ahead: x.Ahead, all: true,
		place: map[string]int{}, share: map[string]int{}, keys: map[string][]key{},
	}
	add := func(place int, queue string, expire time.Duration, share int) {
		p.Reserve = append(p.Reserve, driver.Reserve{Queue: queue, Expire: expire})
		p.place[queue], p.share[queue], p.keys[queue] = place, share, t.rules.of(queue)
	}
	for i, r := range x.Reserve {
		if !driver.IsPattern(r.Queue) {
			if _, ok := p.place[r.Queue]; !ok {
				add(i, r.Queue, r.Expire, x.Limit)
			}
			continue
		}
		l := t.lines[r.Queue]
		most := min(max(x.Limit, leastOpen), mostOpen)
		if l.barren {
			most = mostOpen
		}
		if next := l.wake(now, x.Everything); !next.IsZero() {
			p.wait(next.Sub(now))
		}
		var open, others []string
		for k, queue := range l.queues {
			if len(open) == most && !x.Everything {
				others, p.more = append(others, l.queues[k:]...), true
				break
			}
			_, twice := p.place[queue]
			exact := slices.ContainsFunc(x.Reserve, func(other driver.Reserve) bool { return other.Queue == queue && queue != r.Queue })
			if twice || exact {
				others = append(others, queue)
			} else {
				open = append(open, queue)
			}
		}
		share := x.Limit
		if !x.Everything {
			share = max(quantum, (x.Limit+len(open)-1)/max(len(open), 1))
		}
		for _, queue := range open {
			add(i, queue, r.Expire, share)
		}
		l.queues = append(others, open...) // an exchange beside this one takes others: these would still be locked
	}
	p.all = x.Everything
	return p
}

// Done notes what the exchange has reserved, and tells in the answer when to ask again.
func (p *Plan) Done(answer *driver.Exchanged) {
	if p == nil {
		return
	}
	t, now := p.turns, time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	gave := map[string]bool{}
	for i := range answer.Reserved {
		gave[answer.Reserved[i].Queue] = true
	}
	full := len(answer.Reserved) >= p.limit
	for place, r := range p.asked {
		l := t.lines[r.Queue]
		if l == nil || !driver.IsPattern(r.Queue) {
			continue
		}
		others := slices.DeleteFunc(l.queues, func(queue string) bool {
			at, ok := p.place[queue]
			return ok && at == place
		})
		l.barren = !full
		var front, back []string
		for _, asked := range p.Reserve {
			queue := asked.Queue
			if p.place[queue] != place {
				continue
			}
			s := l.state[queue]
			if s == nil { // another exchange has found that it has long had no job
				s = &state{gave: now}
				l.state[queue] = s
			}
			switch {
			case gave[queue]:
				s.openAt, s.idle, s.gave = time.Time{}, 0, now
				back, l.barren = append(back, queue), false
			case full && p.held[queue] == 0:
				s.openAt = time.Time{}
				front = append(front, queue)
			case p.held[queue] == 0 && now.Sub(s.gave) > keep:
				delete(l.state, queue)
			default:
				s.idle = min(max(2*s.idle, firstIdle), l.mostRest())
				rest := s.idle
				if p.held[queue] > 0 {
					rest = min(p.held[queue], mostIdle)
				} else if due := answer.NextDue.Sub(answer.Now); !answer.NextDue.IsZero() && due > 0 {
					rest = min(rest, due)
				}
				s.openAt = now.Add(rest)
				heap.Push(&l.resting, resting{queue, s.openAt})
				p.wait(rest)
			}
		}
		l.queues = slices.Concat(front, others, back)
	}
	for _, rest := range p.held {
		p.wait(rest)
		answer.Everything = false
	}
	for queue, keys := range p.keys {
		if len(keys) > 0 && p.Left(queue) == 0 {
			answer.Everything = false
		}
	}
	answer.Everything = answer.Everything && p.all
	if full {
		return
	}
	if len(p.held) > 0 && !answer.NextDue.After(answer.Now) { // what is due may be what is held back
		answer.NextDue = time.Time{}
	}
	if p.more || len(answer.Reserved) > 0 {
		p.next = time.Millisecond
	}
	if at := answer.Now.Add(p.next); p.next > 0 && (answer.NextDue.IsZero() || at.Before(answer.NextDue)) {
		answer.NextDue = at
	}
}

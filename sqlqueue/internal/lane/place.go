package lane

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// There may be as many lanes as there are queues and priorities. With more than few, an exchange asks a part of them, in order, and the
// next goes on from there: at the last lane that gave a job, or after those that gave none. It begins again at the first lane after the
// last one, and, while there are more jobs than the worker takes, after an Interval.
const (
	few    = 100  // lanes that every exchange asks, if there are no more
	most   = 1000 // lanes that one exchange asks at most
	places = 1000 // lists of queues that are remembered
)

// Places remembers where exchanges go on. Its zero value begins at the first lane. It is safe for concurrent use.
type Places struct {
	mu sync.Mutex
	of map[uint64]*place // by the queues of the exchange
}

type place struct {
	next  Lane      // its Queue is that of Part.names
	began time.Time // when the first lane was asked
	found time.Time // when as many jobs as were wanted were found first; zero: not yet
	due   time.Time // when the next job of the lanes before will be due; zero: not known
	vain  int       // exchanges in a row that did not find as many jobs as they wanted
	again bool      // lanes before may have got jobs
}

// Part is the lanes that one exchange asks.
type Part struct {
	Lanes []Lane

	after Lane // the lane after these; its Queue is empty if there is none
	first bool // they begin with the first lane
	all   bool // there are no others
	cut   bool // there could have been more
	key   uint64
	name  func(queue string) string
}

// All is a Part of all lanes.
func All(lanes []Lane) Part { return Part{Lanes: lanes, first: true, all: true} }

// Few is a Part of all lanes if every exchange asks them, and otherwise of none.
func Few(lanes []Lane) Part {
	if len(lanes) > few {
		return Part{}
	}
	return All(lanes)
}

// part chooses among the lanes of the queues of a search.
func (p *Places) part(s Search, lanes []Lane) Part {
	if len(lanes) <= few {
		return All(lanes)
	}
	part := Part{key: keyOf(s.Asked), name: s.Order.Name, first: true}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.of[part.key]
	if at == nil {
		if p.of == nil || len(p.of) >= places {
			p.of = map[uint64]*place{}
		}
		at = &place{began: s.At}
		p.of[part.key] = at
	}
	size := most
	if at.vain < 2 {
		size = min(max(few, s.Limit)<<(2*at.vain), most)
	}
	if rest := from(at.next, lanes, part.name); len(rest) > 0 {
		part.first = len(rest) == len(lanes)
		lanes = rest
	}
	part.Lanes = lanes
	if len(lanes) > size {
		part.Lanes, part.after = lanes[:size], lanes[size]
	}
	part.all = part.first && len(part.Lanes) == len(lanes)
	return part
}

// from returns the lanes from a place on, or all if none of them has its name.
func from(at Lane, lanes []Lane, name func(string) string) []Lane {
	if at.Queue == "" {
		return lanes
	}
	here := false
	for i, l := range lanes {
		switch same := name(l.Queue) == at.Queue; {
		case same && l.Priority >= at.Priority, here && !same:
			return lanes[i:]
		case same:
			here = true
		}
	}
	if here {
		return nil
	}
	return lanes
}

// keyOf is the same for the same names in any order.
func keyOf(names []string) (key uint64) {
	for _, name := range names {
		key += maphash.String(seed, name)
	}
	return key
}

var seed = maphash.MakeSeed()

// Queues are those of the lanes.
func (p *Part) Queues() []string {
	seen := make(map[string]bool, len(p.Lanes))
	var queues []string
	for _, l := range p.Lanes {
		if !seen[l.Queue] {
			seen[l.Queue] = true
			queues = append(queues, l.Queue)
		}
	}
	return queues
}

// Many reports whether there are more lanes than every exchange would ask.
func (p *Part) Many() bool { return p.name != nil }

// All reports whether these are all lanes.
func (p *Part) All() bool { return p.all }

// Until leaves out the lanes from the nth on.
func (p *Part) Until(n int) {
	if n < len(p.Lanes) {
		p.after, p.Lanes, p.all, p.cut = p.Lanes[n], p.Lanes[:n], false, true
	}
}

// asked notes what an exchange has found that asked a part for up to limit jobs, and says in the answer when to ask again.
func (p *Places) asked(part *Part, limit int, answer *driver.Exchanged, now time.Time) {
	if !part.Many() {
		return
	}
	answer.Everything = answer.Everything && part.all
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.of[part.key]
	if at == nil { // another exchange has come to the end
		at = &place{began: now}
		p.of[part.key] = at
	}
	if n := len(answer.Reserved); n > 0 && n >= limit {
		last := &answer.Reserved[n-1]
		at.next, at.vain = Lane{part.name(last.Queue), last.Priority}, 0
		if at.found.IsZero() {
			at.found = now
		}
		// Lanes that have been emptied are asked again, but not for more than a fifth of the time.
		if now.Sub(at.began) >= max(Interval, 5*at.found.Sub(at.began)) || now.Before(at.began) {
			delete(p.of, part.key)
		}
		return
	}
	if due := answer.NextDue; !due.IsZero() && (at.due.IsZero() || due.Before(at.due)) {
		at.due = due
	}
	switch {
	case part.after.Queue != "":
		at.next = Lane{part.name(part.after.Queue), part.after.Priority}
		if !part.cut {
			at.vain++
		}
		answer.NextDue = answer.Now
		return
	case at.again && !part.all:
		answer.NextDue = answer.Now
	default:
		answer.NextDue = at.due
	}
	delete(p.of, part.key)
}

// Changed makes exchanges begin again after the last lane: jobs that an exchange has settled or requeued may be due in any.
func (p *Places) Changed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.of {
		at.again = true
	}
}

// Pushed makes exchanges go back to a lane that has got a job: at once within a queue, otherwise after the last lane.
func (p *Places) Pushed(l Lane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.of {
		at.again = true
		if at.next.Queue == l.Queue && l.Priority < at.next.Priority {
			at.next.Priority = l.Priority
		}
	}
}

package lane

import (
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Search is what an exchange asks for.
type Search struct {
	Asked      []string // the queues as they were given, with patterns
	Queues     []string // exact ones
	Order      Order
	Limit      int
	Everything bool
	At         time.Time
}

// Order is that of the lanes of an exchange.
type Order interface {
	Sort(lanes []Lane) []Lane
	// Name returns the pattern that a queue was asked for by, or the queue itself.
	Name(queue string) string
}

// Names are those of the queues of an exchange.
func Names(reserve []driver.Reserve) []string {
	queues := make([]string, len(reserve))
	for i, r := range reserve {
		queues[i] = r.Queue
	}
	return queues
}

// Choose decides which of the lanes an exchange asks. All says that there are no others, and that none can have been opened within an
// Interval. It calls find with the lanes that it would ask, and with the queues in which it is time to look for lanes that other processes
// have opened, often none. Find adds these lanes to the Set.
func (p *Places) Choose(set *Set, s Search, find func(known []Lane, stale []string) error) (part Part, all bool, err error) {
	choose := func() Part {
		lanes := s.Order.Sort(set.Of(s.Queues))
		switch {
		case s.Limit <= 0:
			return Few(lanes)
		case s.Everything:
			return All(lanes)
		}
		return p.part(s, lanes)
	}
	part = choose()
	if s.Limit <= 0 {
		return part, false, nil
	}
	stale := s.Queues
	if !s.Everything {
		stale = set.Stale(part.Queues(), s.At)
	}
	if err := find(part.Lanes, stale); err != nil {
		return part, false, err
	}
	if len(stale) > 0 {
		part = choose()
	}
	return part, part.All() && len(stale) == len(s.Queues) && len(set.Stale(stale, s.At)) == 0, nil
}

// Exchanged notes what an exchange has done that asked a part, and says in the answer when to ask again. Full says that it has left jobs
// because of Exchange.Bytes.
func (p *Places) Exchanged(part *Part, x *driver.Exchange, answer *driver.Exchanged, full bool, now time.Time) {
	if len(x.Settle)+len(x.Abandoned)+answer.Requeued > 0 {
		p.Changed()
	}
	if x.Limit <= 0 {
		return
	}
	p.asked(part, Limit(x, answer, full), answer, now)
}

// Limit is how many jobs an exchange could reserve. Full says that it has left jobs because of Exchange.Bytes.
func Limit(x *driver.Exchange, answer *driver.Exchanged, full bool) int {
	if full {
		return len(answer.Reserved)
	}
	return x.Limit
}

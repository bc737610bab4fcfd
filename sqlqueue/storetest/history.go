package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// clockSlack is by how much two readings of the database's clock may differ from the order in which things happened, besides what a call
// takes.
const clockSlack = time.Second

// history is what the clients of one database asked and were answered. It is safe for concurrent use.
type history struct {
	mu     sync.Mutex
	ticks  int64 // counts beginnings and ends of calls: what ended before another thing began came before it
	events []event
	wrong  []string // what was wrong with an answer by itself

	// attempts holds what a test wrote into the column itself, by job.
	attempts map[int64]int
}

// event is one thing that a store said it did.
type event struct {
	begin, end int64
	what       what
	id         int64
	by         string
	until      time.Time     // granted, touched: the reservation's deadline; zero: never
	now        time.Time     // the database's clock then, if it was told
	took       time.Duration // of the call: a store may have read the clock at its beginning, and waited for its turn then
	attempts   int           // granted
	count      int           // inserted, requeued, retried, forgotten
}

// latest is what the database's clock may have shown when the call ended.
func (e event) latest() time.Time { return e.now.Add(e.took) }

type what int

const (
	pushed    what = iota // id
	inserted              // count, past the store
	granted               // id, by, until, now (its reserved_at), attempts
	touched               // id, by, until
	held                  // id, by
	deleted               // id, by
	failed                // id, by
	released              // id, by
	gaveBack              // id, by
	abandoned             // by
	lost                  // id, by
	cancelled             // id
	freed                 // id: released by hand
	requeued              // count
	retried               // count
	forgotten             // count
	unknown               // by, if it may have reserved: whether it happened, nobody knows
)

// tables is what the database holds.
type tables struct {
	jobs   []row
	failed []failedRow
}

type row struct {
	id                       int64
	attempts                 int
	reserved, hasAt, expires bool
	by                       string
	hasBy                    bool
}

type failedRow struct {
	jobID    int64
	attempts int
}

func (h *history) tick() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ticks++
	return h.ticks
}

// add records events of a call that began at the given tick and has ended.
func (h *history) add(begin int64, events ...event) {
	end := h.tick()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		e.begin, e.end = begin, end
		h.events = append(h.events, e)
	}
}

func (h *history) complain(format string, a ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong = append(h.wrong, fmt.Sprintf(format, a...))
}

func (h *history) setAttempts(id int64, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.attempts == nil {
		h.attempts = map[int64]int{}
	}
	h.attempts[id] = n
}

// exchanged records an exchange.
func exchanged(x driver.Exchange, answer driver.Exchanged, err error) []event {
	if err != nil {
		if !errors.Is(err, sqlqueue.ErrOutcomeUnknown) {
			return nil
		}
		events := []event{{what: unknown, by: x.Number}}
		for _, s := range x.Settle {
			events = append(events, event{what: unknown, id: s.ID, by: s.By})
		}
		return events
	}
	var events []event
	refused := map[sqlqueue.Reservation]bool{}
	for _, r := range answer.Lost {
		refused[r] = true
		events = append(events, event{what: lost, id: r.ID, by: r.By, now: answer.Now})
	}
	for _, r := range answer.Locked {
		refused[r] = true
	}
	for _, s := range x.Settle {
		if refused[s.Reservation] {
			continue
		}
		e := event{id: s.ID, by: s.By}
		switch {
		case s.Outcome == driver.Delete:
			e.what = deleted
		case s.Outcome == driver.Fail:
			e.what = failed
		case s.GiveBack:
			e.what = gaveBack
		default:
			e.what = released
		}
		events = append(events, e)
		if s.Outcome != driver.Release && len(s.Push) > 0 {
			events = append(events, event{what: inserted, count: len(s.Push)})
		}
	}
	for _, t := range x.Touch {
		if refused[t.Reservation] {
			continue
		}
		e := event{what: touched, id: t.ID, by: t.By}
		if t.Expire != 0 {
			e.until = answer.Now.Add(t.Expire)
		}
		events = append(events, e)
	}
	for _, by := range x.Abandoned {
		events = append(events, event{what: abandoned, by: by})
	}
	if answer.Requeued != 0 {
		events = append(events, event{what: requeued, count: answer.Requeued, now: answer.Now})
	}
	for _, j := range answer.Reserved {
		events = append(events, event{
			what: granted, id: j.ID, by: j.ReservedBy, until: j.ExpiresAt, now: j.ReservedAt, attempts: j.Attempts,
		})
	}
	return events
}

// checkAnswer says what is wrong with an answer by itself.
func checkAnswer(x driver.Exchange, answer driver.Exchanged) []string {
	var wrong []string
	complain := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }

	asked := map[sqlqueue.Reservation]bool{}
	for _, s := range x.Settle {
		asked[s.Reservation] = true
	}
	for _, t := range x.Touch {
		asked[t.Reservation] = true
	}
	for _, r := range slices.Concat(answer.Lost, answer.Locked) {
		if !asked[r] {
			complain("job %d of reservation %s is reported lost or locked, and was not asked about, or is reported twice", r.ID, r.By)
		}
		asked[r] = false
	}
	if answer.Requeued < 0 || answer.Requeued > x.Requeue {
		complain("requeued %d of at most %d", answer.Requeued, x.Requeue)
	}
	if answer.Now.IsZero() && x.Limit > 0 {
		complain("an exchange did not tell the database's clock")
	}

	expires := map[string]bool{}
	for _, r := range x.Reserve {
		expires[r.Queue] = r.Expire != 0
	}
	if len(answer.Reserved) > x.Limit {
		complain("reserved %d of at most %d", len(answer.Reserved), x.Limit)
	}
	twice := map[int64]bool{}
	for _, j := range answer.Reserved {
		if twice[j.ID] {
			complain("job %d is given twice in one answer", j.ID)
		}
		twice[j.ID] = true
		expire, ok := expires[j.Queue]
		for _, r := range x.Reserve {
			if !ok && driver.InPattern(r.Queue, j.Queue) {
				expire, ok = r.Expire != 0, true
			}
		}
		switch {
		case !ok:
			complain("job %d is of queue %q, from which nothing was asked", j.ID, j.Queue)
		case expire == j.ExpiresAt.IsZero():
			complain("job %d expires at %v; should it expire: %v", j.ID, j.ExpiresAt, expire)
		}
		if !j.Reserved || j.ReservedBy != x.Number || j.ReservedAt.IsZero() || j.Attempts < 1 {
			complain("job %d is given with reserved %v, reserved_by %q (asked under %q), reserved_at %v, attempts %d",
				j.ID, j.Reserved, j.ReservedBy, x.Number, j.ReservedAt, j.Attempts)
		}
	}
	return wrong
}

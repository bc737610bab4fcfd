package lane

import (
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Jobs that were reserved leave dead entries at the head of an index. The database cannot remove them while a transaction with an older
// snapshot is open, and every scan from the start reads all of them again. Therefore a lane has a mark, the time from which on the last job
// that was reserved here had been available, and scans begin there.
//
// A mark alone would be wrong: a transaction commits later than the times that it has written, and jobs are pushed for times that have
// passed. Therefore a scan begins somewhat before the mark every behindEvery, and at the start now and then: as often as that takes a
// twentieth of all time, but after wholeMost at the latest.
const (
	behindEvery = 50 * time.Millisecond
	behind      = 500 * time.Millisecond

	wholeEvery = 100 * time.Millisecond
	wholeShare = 20 // how many times as long as a whole scan took it takes until the next
	wholeMost  = 2 * time.Second

	// slow is how long an exchange must have waited for other things than its scan to show that the server or the network stood still.
	// Others' commits were late then too, and the next scan begins at the start.
	slow = 500 * time.Millisecond
)

// marks are those of the lanes of a queue, and when scans last began before them.
type marks struct {
	at     map[int16]time.Time // by priority, by the database's clock
	behind time.Time           // when a scan last began before the marks
	whole  time.Time           // when one last began at the start
	took   time.Duration       // how long it took
}

func (m *marks) wholeDue() time.Time {
	return m.whole.Add(max(wholeEvery, wholeShare*min(m.took, wholeMost/wholeShare)))
}

// Scan is where to look for jobs now.
type Scan struct {
	Lanes []Lane
	From  map[Lane]time.Time // where in each lane; zero: at the start

	whole  []string  // queues of which all is looked at
	marked bool      // others are not
	again  time.Time // when all of these may be looked at
	at     time.Time
}

// Whole reports whether the scan begins at the start of every lane.
func (s *Scan) Whole() bool { return !s.marked }

// Timed reports whether some part of the scan begins at the start, so that it matters how long it takes.
func (s *Scan) Timed() bool { return len(s.whole) > 0 }

// Forget makes the next scan of the queues begin at the start.
func (s *Set) Forget(queues []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, queue := range queues {
		if p := s.queues[queue]; p != nil {
			p.marks.whole, p.marks.took = time.Time{}, 0
		}
	}
}

// Slow notes how long an exchange has waited for other things than its scan.
func (s *Set) Slow(scan Scan, beside time.Duration) {
	if beside < slow {
		return
	}
	var queues []string
	for _, l := range scan.Lanes {
		queues = append(queues, l.Queue)
	}
	s.Forget(queues)
}

// Scan returns the lanes of the queues as Of does, and from where to scan them.
func (s *Set) Scan(queues []string, now time.Time) Scan { return s.ScanLanes(s.Of(queues), now) }

// ScanLanes returns from where to scan lanes. Those of a queue that has others begin at the start: the time of the last whole scan is that
// of all lanes of a queue.
func (s *Set) ScanLanes(lanes []Lane, now time.Time) Scan {
	scan := Scan{Lanes: lanes, at: now}
	count := make(map[string]int, len(lanes))
	for _, l := range lanes {
		count[l.Queue]++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := make(map[string]func(int16) time.Time, len(count))
	for _, l := range lanes {
		queue := l.Queue
		if from[queue] != nil {
			continue
		}
		p := s.of(queue)
		if count[queue] < len(p.sorted()) {
			from[queue] = func(int16) time.Time { return time.Time{} }
			continue
		}
		m := &p.marks
		due := m.wholeDue()
		switch {
		case len(m.at) == 0 || !now.Before(due) || now.Before(m.whole):
			m.whole, m.behind = now, now
			scan.whole = append(scan.whole, queue)
			from[queue] = func(int16) time.Time { return time.Time{} }
			continue
		case now.Sub(m.behind) >= behindEvery:
			m.behind = now
			from[queue] = func(priority int16) time.Time { return before(m.at[priority]) }
		default:
			from[queue] = func(priority int16) time.Time { return m.at[priority] }
		}
		if !scan.marked || due.Before(scan.again) {
			scan.again = due
		}
		scan.marked = true
	}
	scan.From = make(map[Lane]time.Time, len(scan.Lanes))
	for _, l := range scan.Lanes {
		scan.From[l] = from[l.Queue](l.Priority)
	}
	return scan
}

func before(mark time.Time) time.Time {
	if mark.IsZero() {
		return mark
	}
	return mark.Add(-behind)
}

// Scanned notes what a scan has found: of each lane the latest time from which on a job had been available, the database's clock, and how
// long the scan took by itself, which matters only if it is Timed. It returns after how long to look again, if the scan has not seen
// everything; otherwise 0.
func (s *Set) Scanned(scan Scan, latest map[Lane]time.Time, clock time.Time, took time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, queue := range scan.whole {
		s.of(queue).marks.took = took
	}
	for l, at := range latest {
		m := &s.of(l.Queue).marks
		if m.at == nil {
			m.at = map[int16]time.Time{}
		}
		if at.After(m.at[l.Priority]) {
			m.at[l.Priority] = at
		}
	}
	for _, l := range scan.Lanes {
		if m := &s.of(l.Queue).marks; m.at[l.Priority].After(clock) { // which has stepped back
			delete(m.at, l.Priority)
		}
	}
	if !scan.marked {
		return 0
	}
	return max(scan.again.Sub(scan.at), time.Millisecond)
}

// Reserved is Scanned for an exchange that has reserved up to limit jobs, in the order of the lanes. If it has found fewer and has not
// looked everywhere, NextDue says when to look again. If it has reached the limit, there may be more jobs at the last one's time: the next
// scan begins there.
func (s *Set) Reserved(scan Scan, limit int, answer *driver.Exchanged, took time.Duration) {
	latest := map[Lane]time.Time{}
	var last Lane
	for i := range answer.Reserved {
		j := &answer.Reserved[i]
		last = Lane{j.Queue, j.Priority}
		if j.AvailableAt.After(latest[last]) {
			latest[last] = j.AvailableAt
		}
	}
	again := s.Scanned(scan, latest, answer.Now, took)
	if len(answer.Reserved) == limit {
		s.Rewind(last, latest[last])
	} else if at := answer.Now.Add(again); again > 0 && (answer.NextDue.IsZero() || at.Before(answer.NextDue)) {
		answer.NextDue = at
	}
}

// Expiring is the lane of reservations that expire, in a Set of its own. Its mark is the time up to which everything that had expired has
// been released.
var Expiring = Lane{}

// Released is Scanned for an exchange that has released what had expired at a time (zero: by now), except for what had expired from left on
// (zero: it left nothing).
func (s *Set) Released(scan Scan, expired, left, clock time.Time, took time.Duration) {
	to := clock
	if !expired.IsZero() && expired.Before(to) {
		to = expired
	}
	s.Scanned(scan, map[Lane]time.Time{Expiring: to}, clock, took)
	if !left.IsZero() {
		s.Rewind(Expiring, left)
	}
}

// Rewind moves the mark of a lane back to a time: a job was pushed for it, or a scan was cut short there.
func (s *Set) Rewind(l Lane, to time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.queues[l.Queue]; p != nil && to.Before(p.marks.at[l.Priority]) {
		p.marks.at[l.Priority] = to
	}
}

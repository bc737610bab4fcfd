package integration

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// exchange is one of a worker's, with anything that it holds or once held.
func (m *machine) exchange(t *rapid.T) {
	w := m.workers[draw(t, "worker", 0, 1, 2)]
	x := driver.Exchange{
		Requeue: draw(t, "requeue", 1, 0, 10), Limit: draw(t, "limit", 3, 1, 0, 10), Force: draw(t, "force", false, false, true),
	}
	for _, r := range w.holds[:min(len(w.holds), 8)] {
		s := driver.Settlement{Reservation: r, Outcome: driver.Delete}
		switch draw(t, "do", "nothing", "fail", "touch", "release", "delete", "give back", "release later", "touch for ever",
			"nothing", "fail") {
		case "delete":
			x.Settle = append(x.Settle, s)
		case "release":
			s.Outcome = driver.Release
			s.Exception = rapid.Bool().Draw(t, "exception")
			x.Settle = append(x.Settle, s)
		case "release later":
			s.Outcome, s.Delay = driver.Release, hour
			x.Settle = append(x.Settle, s)
		case "give back":
			s.Outcome, s.GiveBack, s.KeepStarted = driver.Release, true, rapid.Bool().Draw(t, "started stays")
			x.Settle = append(x.Settle, s)
		case "fail":
			s.Outcome, s.Error, s.Stack = driver.Fail, "no good", "here"
			x.Settle = append(x.Settle, s)
		case "touch":
			x.Touch = append(x.Touch, driver.Touch{Reservation: r, Expire: hour, Start: rapid.Bool().Draw(t, "start")})
		case "touch for ever":
			x.Touch = append(x.Touch, driver.Touch{Reservation: r})
		}
	}
	if rapid.Bool().Draw(t, "tell what was abandoned") {
		x.Abandoned = w.abandoned
	}
	if x.Requeue > 0 && rapid.Bool().Draw(t, "keep one") {
		x.Keep = []int64{m.someID(t)}
	}
	for _, queue := range rapid.Permutation(modelQueues).Draw(t, "queues")[:draw(t, "number of queues", 2, 1)] {
		x.Reserve = append(x.Reserve, driver.Reserve{Queue: queue, Expire: draw(t, "expire", hour, 0, hour)})
	}
	m.converse(t, w, x, draw(t, "the answer gets lost", false, false, true) && x.Limit > 0)
	if draw(t, "forget what has ended", true, false) { // otherwise it is settled again some time
		w.holds = slices.DeleteFunc(w.holds, func(r sqlqueue.Reservation) bool { return !m.holds(r) })
	}
}

// converse makes an exchange and, where it need not see everything at once, more of them until all was found.
func (m *machine) converse(t *rapid.T, w *modelWorker, x driver.Exchange, unheard bool) {
	m.exchanges++
	x.Number = fmt.Sprint(w.name, "-", m.exchanges)
	var answer driver.Exchanged
	when := m.during(t, func() {
		var err error
		answer, err = w.queue.Exchange(t.Context(), x)
		must(t, err)
	})
	var lost []sqlqueue.Reservation
	for _, s := range x.Settle {
		if !m.settle(s, when) {
			lost = append(lost, s.Reservation)
		}
	}
	for _, touch := range x.Touch {
		if !m.touch(touch, when) {
			lost = append(lost, touch.Reservation)
		}
	}
	if !slices.Equal(byID(answer.Lost), byID(lost)) || answer.Locked != nil {
		t.Fatalf("lost are %v, want %v; locked are %v", answer.Lost, lost, answer.Locked)
	}
	for _, j := range m.jobs {
		if slices.Contains(x.Abandoned, j.ReservedBy) {
			j.Attempts--
			j.free(when)
		}
	}
	rows := m.rows(t)
	missing := driver.Exchange{Reserve: x.Reserve, Force: x.Force, Keep: x.Keep}
	missing.Requeue = m.requeue(t, x, answer, rows, when)
	missing.Limit = m.reserve(t, x, answer, rows, when)
	if unheard {
		w.abandoned = append(w.abandoned, x.Number)
	} else {
		for _, j := range answer.Reserved {
			w.holds = append([]sqlqueue.Reservation{j.Reservation()}, w.holds...)
		}
	}
	if missing.Requeue+missing.Limit == 0 {
		return
	}
	if m.exact || m.exchanges > 1000 {
		t.Fatalf("%d expired jobs were not requeued, %d that are due were not reserved", missing.Requeue, missing.Limit)
	}
	select { // the store says that it has not looked everywhere
	case <-time.After(20 * time.Millisecond):
	case <-t.Context().Done():
	}
	m.converse(t, w, missing, unheard)
}

func byID(reservations []sqlqueue.Reservation) []sqlqueue.Reservation {
	return slices.SortedFunc(slices.Values(reservations), func(a, b sqlqueue.Reservation) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.By, b.By))
	})
}

// holds reports whether a reservation is its holder's.
func (m *machine) holds(r sqlqueue.Reservation) bool {
	j := m.jobs[r.ID]
	return j != nil && j.Reserved && j.ReservedBy == r.By
}

func (m *machine) settle(s driver.Settlement, when moment) bool {
	if !m.holds(s.Reservation) {
		return false
	}
	j := m.jobs[s.ID]
	switch s.Outcome {
	case driver.Delete:
		delete(m.jobs, s.ID)
	case driver.Release:
		if s.GiveBack {
			j.Attempts--
		}
		if s.Exception {
			j.Exceptions++
		}
		j.free(when.add(s.Delay))
		j.Started = j.Started && s.KeepStarted
	case driver.Fail:
		delete(m.jobs, s.ID)
		m.failed[s.ID] = &modelFailure{modelJob: *j, text: s.Error, stack: s.Stack, failedAt: when}
	}
	return true
}

func (m *machine) touch(touch driver.Touch, when moment) bool {
	if !m.holds(touch.Reservation) {
		return false
	}
	j := m.jobs[touch.ID]
	j.expires = until(when, touch.Expire)
	j.Started = j.Started || touch.Start
	return true
}

// until is when a reservation ends.
func until(when moment, expire time.Duration) moment {
	if expire == 0 {
		return moment{}
	}
	return when.add(expire)
}

// requeue finds out which expired reservations were released: the oldest. It returns how many more should have been.
func (m *machine) requeue(t *rapid.T, x driver.Exchange, answer driver.Exchanged, rows map[int64]sqlqueue.Job, when moment) int {
	t.Helper()
	var requeued, left []*modelJob
	for _, j := range m.jobs {
		switch {
		case !j.Reserved || j.expires.from.IsZero() || j.expires.to.After(when.to) || slices.Contains(x.Keep, j.ID):
		case rows[j.ID].ReservedBy == j.ReservedBy:
			left = append(left, j)
		default:
			requeued = append(requeued, j)
		}
	}
	want := min(x.Requeue, len(requeued)+len(left))
	if len(requeued) != answer.Requeued || len(requeued) > want {
		t.Fatalf("%d expired jobs were requeued, and the answer is %d; it should be %d", len(requeued), answer.Requeued, want)
	}
	for _, j := range requeued {
		for _, other := range left {
			if m.exact && j.expires.from.After(other.expires.to) {
				t.Fatalf("job %d was requeued before job %d, which had expired sooner", j.ID, other.ID)
			}
		}
	}
	for _, j := range requeued {
		j.free(when)
	}
	return want - len(requeued)
}

// reserve checks which jobs were reserved: those that are first in the order of the queues, priority, available_at and id. It returns how
// many more should have been.
func (m *machine) reserve(t *rapid.T, x driver.Exchange, answer driver.Exchanged, rows map[int64]sqlqueue.Job, when moment) int {
	t.Helper()
	rank := map[string]int{}
	expire := map[string]time.Duration{}
	for i, r := range x.Reserve {
		rank[r.Queue], expire[r.Queue] = i, r.Expire
	}
	var due []*modelJob
	for id, j := range m.jobs {
		if row, here := rows[id]; !j.Reserved && here {
			j.available.check(t, fmt.Sprintf("job %d: available_at", id), row.AvailableAt)
		}
		if _, asked := expire[j.Queue]; asked && !j.Reserved && !j.available.to.After(when.to) && !m.stopped(j.Queue, answer.Now, x.Force) {
			due = append(due, j)
		}
	}
	inOrder := func(a, b *modelJob) int {
		return cmp.Or(cmp.Compare(rank[a.Queue], rank[b.Queue]), cmp.Compare(a.Priority, b.Priority), a.available.after(b.available),
			cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(due, inOrder)
	places := m.places()
	allowed := slices.DeleteFunc(slices.Clone(due), func(j *modelJob) bool {
		places[j.Queue]--
		return places[j.Queue] < 0
	})
	want := min(x.Limit, len(allowed))
	var got []*modelJob
	for _, r := range answer.Reserved {
		j := m.jobs[r.ID]
		if j == nil || !slices.Contains(due, j) || slices.Contains(got, j) {
			t.Fatalf("job %d was reserved, and should not have been", r.ID)
		}
		got = append(got, j)
	}
	places = m.places()
	for _, j := range got {
		if places[j.Queue]--; places[j.Queue] < 0 {
			t.Fatalf("job %d was reserved beyond the limit of %s", j.ID, j.Queue)
		}
	}
	if len(got) > want || m.exact && !slices.Equal(got, allowed[:want]) || !slices.IsSortedFunc(got, inOrder) {
		t.Fatalf("reserved are %v, in this order; due are %v, limit %d", idsOf(got), idsOf(allowed), x.Limit)
	}
	for i, j := range got {
		j.Attempts++
		j.Reserved, j.ReservedBy = true, x.Number
		j.reservedAt, j.expires = when, until(when, expire[j.Queue])
		j.compare(t, answer.Reserved[i])
	}
	return want - len(got)
}

// places is how many jobs of each queue may still be reserved.
func (m *machine) places() map[string]int {
	places := map[string]int{}
	for _, queue := range modelQueues {
		places[queue] = math.MaxInt
		if most, ok := modelLimits[queue]; ok {
			places[queue] = most
		}
	}
	for _, j := range m.jobs {
		if _, limited := modelLimits[j.Queue]; limited && j.Reserved && (!m.endless || !j.expires.from.IsZero()) {
			places[j.Queue]--
		}
	}
	return places
}

func idsOf(jobs []*modelJob) []int64 {
	var ids []int64
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

// stopped reports whether nothing is to be reserved from a queue.
func (m *machine) stopped(queue string, now time.Time, force bool) bool {
	for _, name := range []string{"", queue} {
		if c := m.controls[name]; c != nil && (c.isPaused(now) || c.maintenance && !force) {
			return true
		}
	}
	return false
}

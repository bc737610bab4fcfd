package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// TestCheck feeds the checker histories, each event a call of its own after the one before, and sees what it says.
func TestCheck(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const id = 7
	push := event{what: pushed, id: id}
	grant := func(by string, attempts int, expire time.Duration) event {
		return event{what: granted, id: id, by: by, attempts: attempts, now: now, until: now.Add(expire)}
	}
	by := func(w what, by string) event { return event{what: w, id: id, by: by, now: now} }
	slow := func(e event, took time.Duration) event { e.took = took; return e }
	requeue := event{what: requeued, count: 1, now: now}
	waiting := func(attempts int) tables { return tables{jobs: []row{{id: id, attempts: attempts}}} }
	has := func(by string, attempts int) tables {
		return tables{jobs: []row{{id: id, attempts: attempts, reserved: true, hasAt: true, hasBy: true, by: by, expires: true}}}
	}
	inFailed := tables{failed: []failedRow{{id, 1}}}
	past, future := -time.Hour, time.Hour

	for _, test := range []struct {
		name   string
		events []event
		now    tables
		wrong  string // empty: nothing
	}{
		{"nothing", nil, tables{}, ""},
		{"waiting", []event{push}, waiting(0), ""},
		{"reserved", []event{push, grant("a", 1, future)}, has("a", 1), ""},
		{"deleted", []event{push, grant("a", 1, future), by(deleted, "a")}, tables{}, ""},
		{"failed", []event{push, grant("a", 1, future), by(failed, "a")}, inFailed, ""},
		{"failed and forgotten", []event{push, grant("a", 1, future), by(failed, "a"), {what: forgotten, count: 1}}, tables{}, ""},
		{"released and reserved again", []event{push, grant("a", 1, future), by(released, "a"), grant("b", 2, future)}, has("b", 2), ""},
		{"given back and reserved again", []event{push, grant("a", 1, future), by(gaveBack, "a"), grant("b", 1, future)}, has("b", 1), ""},
		{
			"expired while the exchange that took it waited for its turn",
			[]event{push, grant("a", 1, time.Minute), requeue, slow(grant("b", 2, future), time.Minute)},
			has("b", 2), "",
		},
		{"expired and reserved again", []event{push, grant("a", 1, past), requeue, grant("b", 2, future), by(lost, "a")}, has("b", 2), ""},
		{
			"expired, reserved again and deleted",
			[]event{push, grant("a", 1, past), requeue, grant("b", 2, future), by(deleted, "b")},
			tables{},
			"",
		},
		{"abandoned", []event{push, grant("a", 1, future), {what: abandoned, by: "a"}}, waiting(0), ""},
		{"abandoned after it was requeued", []event{push, grant("a", 1, past), requeue, {what: abandoned, by: "a"}}, waiting(1), ""},
		{"released by hand", []event{push, grant("a", 1, future), by(freed, ""), by(lost, "a")}, waiting(1), ""},
		{"cancelled", []event{push, by(cancelled, "")}, tables{}, ""},
		{"inserted past the store", []event{{what: inserted, count: 1}}, waiting(0), ""},
		{"a push of which nobody knows", []event{{what: unknown}}, waiting(0), ""},
		{"a settlement of which nobody knows", []event{push, grant("a", 1, future), {what: unknown, id: id, by: "a"}}, tables{}, ""},

		{"reserved twice at once", []event{push, grant("a", 1, future), grant("b", 2, future)}, has("b", 2), "by a and by b at once"},
		{
			"reserved again while it was kept",
			[]event{push, grant("a", 1, past), {what: touched, id: id, by: "a", until: now.Add(future)}, requeue, grant("b", 2, future)},
			has("b", 2), "by a and by b at once",
		},
		{
			"reserved again while it was kept for ever",
			[]event{push, grant("a", 1, past), {what: touched, id: id, by: "a"}, requeue, grant("b", 2, future)},
			has("b", 2), "by a and by b at once",
		},
		{
			"one reservation given twice",
			[]event{push, grant("a", 1, future), by(released, "a"), grant("a", 2, future)},
			has("a", 2),
			"reservation a was given twice",
		},
		{
			"one number for two exchanges",
			[]event{push, grant("a", 1, future), {what: pushed, id: 8}, {what: granted, id: 8, by: "a", attempts: 1}},
			tables{jobs: append(has("a", 1).jobs, row{id: 8, attempts: 1, reserved: true, hasAt: true, hasBy: true, by: "a"})},
			"number a was used by two exchanges",
		},
		{"an id used twice", []event{push, grant("a", 1, future), by(deleted, "a"), push}, waiting(0), "given to 2 pushed jobs"},
		{"vanished", []event{push}, tables{}, "has vanished"},
		{"vanished while reserved", []event{push, grant("a", 1, future)}, tables{}, "has vanished"},
		{"vanished, though nobody knew its id", []event{{what: inserted, count: 2}}, waiting(0), "there should be 2"},
		{"came from nowhere", nil, waiting(0), "there should be 0"},
		{"deleted and still there", []event{push, grant("a", 1, future), by(deleted, "a")}, has("a", 1), "is still there"},
		{
			"in both tables",
			[]event{push, grant("a", 1, future), by(failed, "a")},
			tables{waiting(1).jobs, inFailed.failed},
			"both in jobs and in failed_jobs",
		},
		{
			"failed twice",
			[]event{push, grant("a", 1, future), by(failed, "a")},
			tables{failed: []failedRow{{id, 1}, {id, 1}}},
			"in failed_jobs 2 times",
		},
		{"failed and in neither table", []event{push, grant("a", 1, future), by(failed, "a")}, tables{}, "is not in failed_jobs"},
		{"failed by nobody", []event{push}, inFailed, "nobody failed it"},
		{
			"given after it was deleted",
			[]event{push, grant("a", 1, future), by(deleted, "a"), grant("b", 2, future)},
			has("b", 2),
			"given to b after it had been deleted",
		},
		{
			"late delete accepted",
			[]event{push, grant("a", 1, past), requeue, grant("b", 2, future), by(deleted, "a")},
			tables{},
			"a was accepted although b had the job since",
		},
		{
			"late touch accepted",
			[]event{push, grant("a", 1, past), requeue, grant("b", 2, future), {what: touched, id: id, by: "a", until: now.Add(future)}},
			has("b", 2), "a was accepted although b had the job since",
		},
		{
			"late hold accepted",
			[]event{push, grant("a", 1, future), by(released, "a"), {what: held, id: id, by: "a"}},
			waiting(1),
			"after its holder had ended it",
		},
		{
			"settled twice",
			[]event{push, grant("a", 1, future), by(released, "a"), by(deleted, "a")},
			tables{},
			"after its holder had ended it",
		},
		{
			"accepted after a release by hand",
			[]event{push, grant("a", 1, future), by(freed, ""), by(deleted, "a")},
			tables{},
			"after an operator had released",
		},
		{"accepted and never given", []event{push, by(deleted, "a")}, tables{}, "had never been given"},
		{
			"lost for no reason",
			[]event{push, grant("a", 1, future), by(lost, "a")},
			has("a", 1),
			"was reported lost while it was its holder's",
		},
		{"ended for no reason", []event{push, grant("a", 1, future)}, waiting(1), "nobody ended it"},
		{"requeued in silence", []event{push, grant("a", 1, past)}, waiting(1), "0 reservations were reported as requeued"},
		{"requeued what was not", []event{push, requeue}, waiting(0), "1 reservations were reported as requeued"},
		{
			"settled and still reserved",
			[]event{push, grant("a", 1, future), by(released, "a")},
			has("a", 1),
			"it is still reserved under it",
		},
		{"reserved under an unknown number", []event{push}, has("a", 0), "which was never given"},
		{
			"attempts fall at a release",
			[]event{push, grant("a", 1, future), by(released, "a"), grant("b", 1, future)},
			has("b", 1),
			"attempts fell 1 times",
		},
		{
			"attempts fall in the row",
			[]event{push, grant("a", 1, future), by(released, "a")},
			waiting(0),
			"has 0 attempts after 1 reservations",
		},
		{"attempts fall at an expiry", []event{push, grant("a", 1, past), requeue}, waiting(0), "has 0 attempts after 1 reservations"},
		{
			"attempts fall when it fails",
			[]event{push, grant("a", 1, future), by(failed, "a")},
			tables{failed: []failedRow{{id, 0}}},
			"has 0 attempts",
		},
		{
			"attempts stay at a give-back",
			[]event{push, grant("a", 1, future), by(gaveBack, "a")},
			waiting(1),
			"has 1 attempts after 1 reservations",
		},
		{"attempts jump", []event{push, grant("a", 3, future)}, has("a", 3), "no reservation had attempts 1"},
		{"attempts of a row that nobody had", []event{push}, waiting(1), "has 1 attempts after 0 reservations"},
		{
			"reserved without its columns",
			[]event{push, grant("a", 1, future)},
			tables{jobs: []row{{id: id, attempts: 1, reserved: true, hasBy: true, by: "a"}}},
			"reserved_at is set: false",
		},
		{"columns without reserved", []event{push}, tables{jobs: []row{{id: id, expires: true}}}, "expires_at: true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var h history
			for _, e := range test.events {
				h.add(h.tick(), e)
			}
			got := h.check(test.now)
			if test.wrong == "" && len(got) > 0 {
				t.Errorf("complains: %q", got)
			}
			if !strings.Contains(strings.Join(got, "\n"), test.wrong) {
				t.Errorf("says %q, want %q", got, test.wrong)
			}
		})
	}
}

// TestCheckOverlap: what overlapped may have happened in either order.
func TestCheckOverlap(t *testing.T) {
	now := time.Now()
	h := history{ticks: 10, events: []event{
		{begin: 1, end: 2, what: pushed, id: 1},
		{begin: 3, end: 4, what: granted, id: 1, by: "a", attempts: 1, now: now, until: now.Add(time.Hour)},
		{begin: 5, end: 8, what: released, id: 1, by: "a"},
		{begin: 6, end: 7, what: granted, id: 1, by: "b", attempts: 2, now: now, until: now.Add(time.Hour)},
		{begin: 5, end: 9, what: lost, id: 1, by: "a", now: now},
	}}
	reserved := tables{jobs: []row{{id: 1, attempts: 2, reserved: true, hasAt: true, hasBy: true, by: "b", expires: true}}}
	if got := h.check(reserved); len(got) > 0 {
		t.Errorf("complains: %q", got)
	}
	h.events[2].begin = 8 // the release begins when the other reservation has been given
	if got := h.check(reserved); len(got) == 0 {
		t.Error("does not complain")
	}
}

func TestCheckAnswer(t *testing.T) {
	reservation := sqlqueue.Reservation{ID: 1, By: "a"}
	job := sqlqueue.Job{ID: 1, Queue: "q", Attempts: 1, Reserved: true, ReservedBy: "n", ReservedAt: time.Now(), ExpiresAt: time.Now()}
	asked := driver.Exchange{
		Settle:  []driver.Settlement{{Reservation: reservation}},
		Requeue: 1, Number: "n", Limit: 1, Reserve: []driver.Reserve{{Queue: "q", Expire: time.Second}},
	}
	for _, test := range []struct {
		wrong  string
		answer func(*driver.Exchanged)
	}{
		{"", func(*driver.Exchanged) {}},
		{"", func(a *driver.Exchanged) {
			a.Lost, a.Reserved = []sqlqueue.Reservation{reservation}, []sqlqueue.Job{job}
		}},
		{"was not asked about", func(a *driver.Exchanged) { a.Lost = []sqlqueue.Reservation{{ID: 2, By: "a"}} }},
		{"reported twice", func(a *driver.Exchanged) {
			a.Lost, a.Locked = []sqlqueue.Reservation{reservation}, []sqlqueue.Reservation{reservation}
		}},
		{"requeued 2 of at most 1", func(a *driver.Exchanged) { a.Requeued = 2 }},
		{"clock", func(a *driver.Exchanged) { a.Now = time.Time{} }},
		{"reserved 2 of at most 1", func(a *driver.Exchanged) { a.Reserved = []sqlqueue.Job{job, job} }},
		{"given twice in one answer", func(a *driver.Exchanged) { a.Reserved = []sqlqueue.Job{job, job} }},
		{"from which nothing was asked", func(a *driver.Exchanged) { job := job; job.Queue = "other"; a.Reserved = []sqlqueue.Job{job} }},
		{"should it expire: true", func(a *driver.Exchanged) { job := job; job.ExpiresAt = time.Time{}; a.Reserved = []sqlqueue.Job{job} }},
		{"asked under", func(a *driver.Exchanged) { job := job; job.ReservedBy = "m"; a.Reserved = []sqlqueue.Job{job} }},
		{"attempts 0", func(a *driver.Exchanged) { job := job; job.Attempts = 0; a.Reserved = []sqlqueue.Job{job} }},
	} {
		answer := driver.Exchanged{Now: time.Now()}
		test.answer(&answer)
		got := strings.Join(checkAnswer(asked, answer), "\n")
		if test.wrong == "" && got != "" || !strings.Contains(got, test.wrong) {
			t.Errorf("says %q, want %q", got, test.wrong)
		}
	}
}

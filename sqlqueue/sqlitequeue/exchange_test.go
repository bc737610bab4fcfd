package sqlitequeue

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// A lane whose jobs are all reserved is forgotten; it is known again as soon as one of them waits.
func TestLaneOfWhatIsPutBack(t *testing.T) {
	putBack := map[string]func(sqlqueue.Reservation) driver.Exchange{
		"released": func(r sqlqueue.Reservation) driver.Exchange {
			return driver.Exchange{Settle: []driver.Settlement{{Reservation: r, Outcome: driver.Release}}}
		},
		"given back": func(r sqlqueue.Reservation) driver.Exchange { return driver.Exchange{Abandoned: []string{r.By}} },
		"requeued":   func(sqlqueue.Reservation) driver.Exchange { return driver.Exchange{Requeue: 1} },
	}
	for name, exchange := range putBack {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queue.db")
			synctest.Test(t, func(t *testing.T) {
				db := migrate(t, openPath(t, path, "WAL"), "")
				q := newQueue(t, db)
				must(q.Push(t.Context(), job, sqlqueue.Priority(7)))(t)
				first := must(q.Exchange(t.Context(), reserveOne))(t).Reserved[0]
				<-time.After(2 * time.Minute)
				x := reserveOne
				x.Requeue = 0
				must(q.Exchange(t.Context(), x))(t) // looks for lanes, and finds none

				x = exchange(first.Reservation())
				x.Reserve, x.Limit, x.Number = reserveOne.Reserve, 1, "w-2"
				if answer := must(q.Exchange(t.Context(), x))(t); len(answer.Reserved) != 1 {
					t.Errorf("it was not reserved again: %+v", answer)
				}
				_ = db.Close()
			})
		})
	}
}

// A lane that the store has pushed to is known at once.
func TestLanesOfOnePush(t *testing.T) {
	s := newStore(openFile(t), "")
	x := reserveOne
	x.Limit = 3
	must(s.Exchange(t.Context(), x))(t) // looks for lanes, and finds none
	var jobs []driver.NewJob
	for _, priority := range []int16{0, 7, 7} {
		jobs = append(jobs, driver.NewJob{Queue: "default", Priority: priority, Payload: []byte("{}")})
	}
	must(s.Push(t.Context(), jobs))(t)
	if answer := must(s.Exchange(t.Context(), x))(t); len(answer.Reserved) != 3 {
		t.Errorf("reserved %+v, want all three", answer.Reserved)
	}
}

// The late settlement of an old reservation and that of the new one may come in one exchange, from one worker.
func TestSettlementsOfOneJob(t *testing.T) {
	db := openFile(t)
	q := newQueue(t, db)
	must(q.Push(t.Context(), job))(t)
	x := reserveOne
	old := must(q.Exchange(t.Context(), x))(t).Reserved[0].Reservation()
	x.Settle = []driver.Settlement{{Reservation: old, Outcome: driver.Release}}
	x.Number = "w-2"
	current := must(q.Exchange(t.Context(), x))(t).Reserved[0].Reservation()

	answer := must(q.Exchange(t.Context(), driver.Exchange{Settle: []driver.Settlement{
		{Reservation: old, Outcome: driver.Delete},
		{Reservation: current, Outcome: driver.Fail, Error: "broken"},
		{Reservation: current, Outcome: driver.Delete},
	}}))(t)
	if len(answer.Lost) != 2 || answer.Lost[0] != old || answer.Lost[1] != current {
		t.Errorf("lost %v, want the old one and the repeated one", answer.Lost)
	}
	failed := must(operator.New(q).FailedJobs(t.Context(), operator.FailedFilter{}))(t)
	if len(failed) != 1 || failed[0].Error != "broken" {
		t.Errorf("failed jobs: %+v", failed)
	}
}

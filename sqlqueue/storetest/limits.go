package storetest

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var limitsCases = []testCase{
	{
		"F1 queues of a pattern take turns: one with many jobs does not hold up the others",
		"one tenant with 90 % of the jobs must not make the others wait",
		func(f *fixture) {
			c := f.open()
			c.pushMany(300, sqlqueue.OnQueue("mail/big"))
			for i := range 10 {
				c.push(sqlqueue.OnQueue(fmt.Sprintf("mail/%d", i)))
			}
			small := 0
			for _, j := range c.take(60, "mail/*") {
				if j.Queue != "mail/big" {
					small++
				}
			}
			if small != 10 {
				f.Errorf("%d of 10 queues had their turn among the first 60 jobs", small)
			}
			// The small ones have still their places in the line, once.
			got := len(c.take(100, "mail/*"))
			for range 2 {
				got += len(c.take(100-got, "mail/*"))
			}
			if got != 100 {
				f.Errorf("alone, a queue gives %d of 100 jobs", got)
			}
		},
	},
	{
		"F1 in a pattern the more urgent priority comes first, whatever queue has it",
		"priority is what the application says, turns are what is left to chance",
		func(f *fixture) {
			c := f.open()
			late := c.push(sqlqueue.OnQueue("mail/1"))
			first := c.push(sqlqueue.OnQueue("mail/2"), sqlqueue.Priority(-5))
			f.sameIDs(c.take(2, "mail/*"), first, late)
		},
	},
	{
		"F1 a pattern finds queues of other processes, of a plain INSERT too, and not the level itself or its neighbours",
		"a worker must not be restarted for each new tenant",
		func(f *fixture) {
			c, other := f.open(), f.open()
			other.push(sqlqueue.OnQueue("mail"))
			other.push(sqlqueue.OnQueue("mails/1"))
			f.sameIDs(c.take(9, "mail/*"))
			one := other.push(sqlqueue.OnQueue("mail/1"))
			deep := other.push(sqlqueue.OnQueue("mail/eu/2"))
			f.insert("mail/*", `{"job":"job"}`)
			got := map[string]bool{}
			f.eventually("three jobs are found", func() bool {
				for _, j := range c.take(9, "mail/*") {
					got[j.Queue] = true
				}
				return len(got) == 3
			})
			if !got["mail/1"] || !got["mail/eu/2"] || !got["mail/*"] || one == deep {
				f.Errorf("got %v", got)
			}
		},
	},
	{
		"F1 of a pattern without any queue, the store says that it has looked at everything",
		"a worker that ends when nothing is left must not ask again and again",
		func(f *fixture) {
			f.open().push(sqlqueue.OnQueue("other"))
			answer := f.open().exchange(driver.Exchange{Limit: 1, Reserve: from("mail/*"), Everything: true})
			if len(answer.Reserved) > 0 || !answer.Everything {
				f.Errorf("reserved %d, everything %v", len(answer.Reserved), answer.Everything)
			}
		},
	},
	{
		"F1 the pattern * is all queues, and nothing can be pushed to it",
		"a worker for whatever there is needs no list of queues",
		func(f *fixture) {
			c, other := f.open(), f.open()
			want := map[string]bool{"mail": true, "mail/1": true, "default": true}
			for queue := range want {
				other.push(sqlqueue.OnQueue(queue))
			}
			got := map[string]bool{}
			f.eventually("all queues are found", func() bool {
				for _, j := range c.take(9, "*") {
					got[j.Queue] = true
				}
				return len(got) >= len(want)
			})
			if !maps.Equal(got, want) {
				f.Errorf("jobs of %v were reserved, want of %v", got, want)
			}
			late := c.push(sqlqueue.OnQueue("late"))
			f.sameIDs(c.take(9, "*"), late)
			if _, err := c.Push(f.Context(), sqlqueue.Named("job", nil), sqlqueue.OnQueue("*")); err == nil {
				f.Error("a job was pushed to *")
			}
			c.control("*", operator.ControlChange{Pause: true})
			c.push(sqlqueue.OnQueue("mail"))
			f.none(f.open(), "*")
			f.none(f.open(), "mail")
			c.control("*", operator.ControlChange{Resume: true})
		},
	},
	{
		"F3 a limit of * holds for each queue that has none of its own",
		"no customer, whoever comes, runs more than so many",
		func(f *fixture) {
			c := f.open()
			for _, queue := range []string{"a", "b", "mail/1", "mail/2"} {
				c.pushMany(3, sqlqueue.OnQueue(queue))
			}
			c.limit(operator.Limit{Queue: "*", Running: 1})
			c.limit(operator.Limit{Queue: "b", Running: 2})
			c.limit(operator.Limit{Queue: "mail/*", Running: 3})
			got := map[string]int{}
			for _, j := range f.open().take(20, "a", "b", "mail/1", "mail/2") {
				got[j.Queue]++
			}
			if want := map[string]int{"a": 1, "b": 2, "mail/1": 3, "mail/2": 3}; !maps.Equal(got, want) {
				f.Errorf("%v are reserved, want %v", got, want)
			}
		},
	},
	{
		"F2 a paused queue of a pattern gives nothing, and a paused pattern nothing at all",
		"one customer is stopped, or all of them",
		func(f *fixture) {
			c := f.open()
			one, two := c.push(sqlqueue.OnQueue("mail/1")), c.push(sqlqueue.OnQueue("mail/2"))
			c.control("mail/1", operator.ControlChange{Pause: true})
			f.sameIDs(c.take(9, "mail/*"), two)
			c.control("mail/1", operator.ControlChange{Resume: true})
			c.control("mail/*", operator.ControlChange{Pause: true})
			f.sameIDs(f.open().take(9, "mail/*"))
			f.sameIDs(f.open().take(9, "mail/1"))
			c.control("mail/*", operator.ControlChange{Resume: true})
			f.sameIDs(f.open().take(9, "mail/*"), one)
		},
	},
	{
		"F3 no more jobs are reserved than the limit allows, and the place is free when a job ends, or its row is deleted by hand",
		"running jobs are counted, so that nothing can leak",
		func(f *fixture) {
			c := f.open()
			c.pushMany(9, sqlqueue.OnQueue("mail"))
			c.limit(operator.Limit{Queue: "mail", Running: 2})
			jobs := f.open().take(9, "mail")
			if len(jobs) != 2 {
				f.Fatalf("%d jobs are reserved, want 2", len(jobs))
			}
			f.none(f.open(), "mail")
			c.settle(done(jobs[0]))
			if n := len(f.open().take(9, "mail")); n != 1 {
				f.Errorf("%d jobs are reserved after one has ended, want 1", n)
			}
			f.exec(fmt.Sprintf("DELETE FROM {jobs} WHERE id = %d", jobs[1].ID))
			f.history.add(f.history.tick(), event{what: deleted, id: jobs[1].ID, by: jobs[1].ReservedBy})
			if n := len(f.open().take(9, "mail")); n != 1 {
				f.Errorf("%d jobs are reserved after one was deleted by hand, want 1", n)
			}
			c.limit(operator.Limit{Queue: "mail"})
			if n := len(f.open().take(9, "mail")); n != 5 {
				f.Errorf("%d jobs are reserved without a limit, want 5", n)
			}
		},
	},
	{
		"F3 limits of each queue, of one, and of all together hold at once",
		"one job per customer at a time, and no more than three for the provider",
		func(f *fixture) {
			c := f.open()
			for i := range 5 {
				c.pushMany(3, sqlqueue.OnQueue(fmt.Sprintf("mail/%d", i)))
			}
			c.limit(operator.Limit{Queue: "mail/*", Running: 1})
			if n := len(f.open().take(20, "mail/*")); n != 5 {
				f.Errorf("%d jobs run, want one of each of 5 queues", n)
			}
			c.limit(operator.Limit{Queue: "mail/0", Running: 2})
			if n := len(f.open().take(20, "mail/*")); n != 1 {
				f.Errorf("%d more jobs run, want the second of mail/0", n)
			}
			c.limit(operator.Limit{Queue: "mail", Running: 7})
			c.limit(operator.Limit{Queue: "mail/*"})
			if n := len(f.open().take(20, "mail/*")); n != 1 {
				f.Errorf("%d more jobs run, want 1: seven in all", n)
			}
		},
	},
	{
		"F3 the permits of a worker that has died come back when its reservations expire",
		"a killed worker must not stop a queue for good",
		func(f *fixture) {
			c := f.open()
			c.pushMany(2, sqlqueue.OnQueue("mail/1"))
			c.limit(operator.Limit{Queue: "mail/*", Running: 1})
			lost := f.open().reserveFrom(1, fromFor(brief, "mail/1"))
			f.none(f.open(), "mail/*")
			c.expire(lost...)
			if n := len(f.open().take(9, "mail/*")); n != 1 {
				f.Errorf("%d jobs are reserved after the reservation has expired, want 1", n)
			}
		},
	},
	{
		"F4 a rate lets through a burst, and then one job for each interval",
		"ten calls a minute to this API",
		func(f *fixture) {
			c := f.open()
			c.pushMany(20, sqlqueue.OnQueue("mail"))
			c.limit(operator.Limit{Queue: "mail", Rate: 1, Per: time.Hour, Burst: 3})
			if n := len(f.open().take(9, "mail")); n != 3 {
				f.Errorf("%d jobs begin at once, want a burst of 3", n)
			}
			f.none(f.open(), "mail")
			f.exec(fmt.Sprintf("UPDATE {job_permits} SET tat = tat - %d", (2 * time.Hour).Microseconds()))
			if n := len(f.open().take(9, "mail")); n != 2 {
				f.Errorf("%d jobs begin two hours later, want 2", n)
			}
		},
	},
	{
		"F5 operators see which limits hold for a queue, how much is used, and when the next job may begin",
		"who waits asks why",
		func(f *fixture) {
			c := f.open()
			o := operator.New(c.Queue)
			if permits, err := o.Permits(f.Context(), "mail", "mail/1"); len(permits) != 0 || err != nil {
				f.Errorf("without limits there are %+v, %v", permits, err)
			}
			c.pushMany(3, sqlqueue.OnQueue("mail/1"))
			c.limit(operator.Limit{Queue: "mail/*", Running: 2})
			c.limit(operator.Limit{Queue: "mail", Rate: 2, Per: time.Hour, Burst: 2})
			permits := func() map[string][]operator.Permit {
				permits, err := o.Permits(f.Context(), "mail/1", "mail/2", "mail", "other")
				f.must(err)
				return permits
			}
			if of := permits()["mail/1"]; len(of) != 2 || of[0].Running != 0 || !of[1].Next.IsZero() {
				f.Errorf("before anything has begun: %+v", of)
			}
			if n := len(f.open().take(9, "mail/*")); n != 2 {
				f.Fatalf("%d jobs have begun", n)
			}
			got := permits()
			for queue, running := range map[string]int64{"mail/1": 2, "mail/2": 0} {
				of := got[queue]
				if len(of) != 2 || of[0].Queue != "mail/*" || of[0].Of != queue || of[0].Below || of[0].Running != running ||
					of[1].Queue != "mail" || of[1].Of != "mail" || !of[1].Below {
					f.Errorf("%s: %+v", queue, of)
				} else if until := of[1].Next.Sub(c.now()); until < 20*time.Minute || until > 40*time.Minute {
					f.Errorf("%s: the next job may begin in %v", queue, until)
				}
			}
			if len(got["mail"]) != 1 || len(got["other"]) != 0 {
				f.Errorf("of the level itself and of another queue there are %+v", got)
			}
		},
	},
	{
		"F3 eight processes together never have more jobs than the limits allow",
		"two that count at the same moment must not both find a free place",
		func(f *fixture) {
			const processes, queues, each = 8, 4, 20
			c := f.open()
			for i := range queues {
				c.pushMany(each, sqlqueue.OnQueue(fmt.Sprintf("mail/%d", i)))
			}
			c.limit(operator.Limit{Queue: "mail/*", Running: 2})
			c.limit(operator.Limit{Queue: "mail", Running: 5})
			var mu sync.Mutex
			var wait sync.WaitGroup
			running, all, finished := map[string]int{}, 0, 0
			ctx, cancel := context.WithTimeout(f.Context(), f.db.patience)
			defer cancel()
			worker := func(c *client) {
				defer wait.Done()
				store, err := c.Store(ctx)
				if err != nil {
					f.Error(err)
					return
				}
				for {
					mu.Lock()
					over := finished == queues*each
					mu.Unlock()
					if over {
						return
					}
					answer, err := store.Exchange(ctx, driver.Exchange{Number: c.number(), Limit: 3, Reserve: from("mail/*")})
					if err != nil {
						f.Error(err)
						return
					}
					mu.Lock()
					for _, j := range answer.Reserved {
						running[j.Queue]++
						if all++; running[j.Queue] > 2 || all > 5 {
							f.Errorf("%d of %s run at once, and %d in all", running[j.Queue], j.Queue, all)
						}
					}
					mu.Unlock()
					if len(answer.Reserved) == 0 {
						continue
					}
					var settle []driver.Settlement
					mu.Lock() // before the rows are gone: then others may have their places
					for _, j := range answer.Reserved {
						settle = append(settle, done(j))
						running[j.Queue]--
						all--
					}
					mu.Unlock()
					settled, err := store.Exchange(ctx, driver.Exchange{Settle: settle})
					if err != nil || len(settled.Lost)+len(settled.Locked) > 0 {
						f.Errorf("settling: %v, %+v", err, settled)
						return
					}
					mu.Lock()
					finished += len(settle)
					mu.Unlock()
				}
			}
			for range processes {
				wait.Add(1)
				go worker(f.open())
			}
			wait.Wait()
			if finished != queues*each {
				f.Errorf("%d of %d jobs have run", finished, queues*each)
			}
		},
	},
	{
		"F3 what is taken ahead of need is not taken from a limited queue",
		"a job that waits in a worker's memory would hold a permit",
		func(f *fixture) {
			c := f.open()
			c.pushMany(9, sqlqueue.OnQueue("mail"))
			c.limit(operator.Limit{Queue: "mail", Running: 8})
			o := f.open()
			if n := len(o.exchange(driver.Exchange{Number: o.number(), Limit: 5, Ahead: 3, Reserve: from("mail")}).Reserved); n != 2 {
				f.Errorf("%d jobs are reserved, want the 2 that are needed", n)
			}
		},
	},
	{
		"F5 a queue that rests gives nothing to anybody until the time has passed, and its neighbours do",
		"a provider that answers 429 must be left alone by all workers, and other customers must not notice",
		func(f *fixture) {
			c := f.open()
			first, second := c.push(sqlqueue.OnQueue("mail/1")), c.push(sqlqueue.OnQueue("mail/2"))
			f.must(c.Throttle(f.Context(), "mail/1", brief))
			f.must(f.open().Throttle(f.Context(), "mail/2", time.Hour))
			for _, o := range []*client{c, f.open()} {
				f.sameIDs(o.take(9, "mail/2"))
			}
			f.eventually("mail/1 opens again", func() bool {
				jobs := f.open().take(9, "mail/*")
				for _, j := range jobs {
					if j.ID != first {
						f.Errorf("job %d is reserved from a queue that rests", j.ID)
					}
				}
				return len(jobs) > 0
			})
			c.control("mail/2", operator.ControlChange{Resume: true})
			f.sameIDs(f.open().take(9, "mail/2"), second)
		},
	},
	{
		"F5 a rest makes no pause shorter",
		"an operator has stopped the queue, and a handler that was still running must not start it again",
		func(f *fixture) {
			c := f.open()
			f.must(c.Throttle(f.Context(), "mail", time.Hour))
			f.must(c.Throttle(f.Context(), "mail", time.Minute))
			if left := c.controlOf("mail").PausedUntil.Sub(c.now()); left < 50*time.Minute {
				f.Errorf("the queue rests for %v, want the hour that was said first", left)
			}
			f.must(c.Throttle(f.Context(), "mail", 2*time.Hour))
			if left := c.controlOf("mail").PausedUntil.Sub(c.now()); left < 110*time.Minute {
				f.Errorf("the queue rests for %v, want the two hours that were said last", left)
			}
			c.control("mail", operator.ControlChange{Pause: true})
			f.must(c.Throttle(f.Context(), "mail", time.Minute))
			if control := c.controlOf("mail"); !control.Paused || !control.PausedUntil.IsZero() {
				f.Errorf("the pause of an operator has become %+v", control)
			}
		},
	},
	{
		"F5 the row of a rest that is long over is deleted by a beat, and one that says more stays",
		"ten thousand queues that rested once must not be listed for ever",
		func(f *fixture) {
			c := f.open()
			for _, queue := range []string{"old", "restarted", "resting"} {
				f.must(c.Throttle(f.Context(), queue, time.Hour))
			}
			c.control("restarted", operator.ControlChange{Restart: true})
			c.restedUntil("old", c.now().Add(-2*time.Hour))
			c.restedUntil("restarted", c.now().Add(-2*time.Hour))
			f.eventually("the old row is deleted", func() bool {
				c.beat(driver.Beat{OldCounts: operator.CountsKept})
				return f.count("SELECT count(*) FROM {job_queues} WHERE queue = 'old'") == 0
			})
			if n := f.count("SELECT count(*) FROM {job_queues} WHERE queue IN ('restarted', 'resting')"); n != 2 {
				f.Errorf("%d of 2 other rows are left", n)
			}
		},
	},
}

// restedUntil moves the end of a queue's rest.
func (c *client) restedUntil(queue string, until time.Time) {
	c.f.Helper()
	d := c.database()
	s := d.Statement("UPDATE %s SET ", d.Table("job_queues"))
	s.Add("paused_until = %s", s.Time(until))
	s.Add(" WHERE queue = %s", s.Arg(queue))
	_, err := s.Exec(c.f.Context(), d.DB)
	c.f.must(err)
}

// none checks that a client gets nothing.
func (f *fixture) none(c *client, queue string) {
	f.Helper()
	if n := len(c.take(9, queue)); n != 0 {
		f.Errorf("%d jobs of %s are reserved beyond its limit", n, queue)
	}
}

// limit sets a limit. Clients that are opened later know of it at once.
func (c *client) limit(l operator.Limit) {
	c.f.Helper()
	c.f.must(operator.New(c.Queue).SetLimit(context.Background(), l))
}

package storetest

import (
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var expireCases = []testCase{
	{
		"F3 what a worker holds itself is passed over",
		"while a handler's transaction locks its job's row, its worker cannot touch it, and must not take it away when the lock ends",
		func(f *fixture) {
			c := f.open()
			c.pushMany(3)
			jobs := c.reserveFrom(3, fromFor(brief, "default"))
			c.awaitDeadline(jobs...)
			keep := []int64{jobs[0].ID, jobs[2].ID}
			f.eventually("the other is requeued", func() bool {
				return c.exchange(driver.Exchange{Requeue: 10, Keep: keep}).Requeued == 1
			})
			if n := c.exchange(driver.Exchange{Requeue: 10, Keep: keep}).Requeued; n != 0 {
				f.Errorf("%d jobs were requeued that are to be passed over", n)
			}
			c.settle(done(jobs[0]), done(jobs[2]))
		},
	},
	{
		"D12 what has expired since a given time is left to its owner",
		"after a time in which the database stood still, owners must be able to speak first",
		func(f *fixture) {
			c, other := f.open(), f.open()
			c.pushMany(2)
			first := c.reserveFrom(1, fromFor(brief, "default"))
			c.awaitDeadline(first...)
			between := c.now()
			second := c.reserveFrom(1, fromFor(brief, "default"))
			c.awaitDeadline(second...)
			for range 2 {
				other.exchange(driver.Exchange{Requeue: 10, Expired: between})
			}
			if job := c.job(second[0].ID); !job.Reserved {
				f.Errorf("a job that expired later was released")
			}
			if job := c.job(first[0].ID); job.Reserved {
				f.Errorf("a job that had expired was not released")
			}
			c.settle(done(second[0]))

			// A time that the database's clock has not reached is now.
			third := c.reserveFrom(1, fromFor(time.Hour, "default"))
			if n := other.exchange(driver.Exchange{Requeue: 10, Expired: c.now().Add(2 * time.Hour)}).Requeued; n != 0 {
				f.Errorf("%d reservations that last were released", n)
			}
			c.settle(done(third[0]))
		},
	},
	{
		"C4 the start of a last try is told, and known when its worker has died",
		"a job whose worker died before it began must not pay with its last try, and one that began must",
		func(f *fixture) {
			c := f.open()
			c.pushMany(2)
			start := func(j sqlqueue.Job, expire time.Duration) {
				f.Helper()
				c.exchange(driver.Exchange{Touch: []driver.Touch{{Reservation: j.Reservation(), Expire: expire, Start: true}}})
				c.exchange(driver.Exchange{Touch: []driver.Touch{{Reservation: j.Reservation(), Expire: expire}}})
				if !c.job(j.ID).Started {
					f.Fatalf("job %d does not know that it was started", j.ID)
				}
			}
			again := func(what string, began map[int64]bool) []sqlqueue.Job {
				f.Helper()
				jobs := c.reserveFrom(2, []driver.Reserve{{Queue: "default", Expire: brief}})
				for _, j := range jobs {
					if j.Started != began[j.ID] {
						f.Errorf("after %s, job %d is given with started %v", what, j.ID, j.Started)
					}
				}
				return jobs
			}
			jobs := again("a push", nil)
			began := jobs[0].ID
			start(jobs[0], brief)
			c.expire(jobs...)

			jobs = again("the death of the worker", map[int64]bool{began: true})
			for _, j := range jobs {
				start(j, time.Hour)
			}
			c.settle(putBack(jobs[0], 0), giveBack(jobs[1]))

			jobs = again("a release and a give-back", nil)
			for _, j := range jobs {
				start(j, time.Hour)
			}
			if _, err := operator.New(c.Queue).Release(f.Context(), jobs[0].ID); err != nil {
				f.Fatal(err)
			}
			c.exchange(driver.Exchange{Abandoned: []string{jobs[1].ReservedBy}})

			jobs = again("a release by hand and an abandoned reservation", map[int64]bool{jobs[1].ID: true})
			for i, j := range jobs {
				start(j, time.Hour)
				back := giveBack(j)
				back.KeepStarted = i == 0
				c.settle(back)
			}
			jobs = again("a give-back by a worker that did not start it", map[int64]bool{jobs[0].ID: true})
			for _, j := range jobs {
				c.settle(done(j))
			}
		},
	},
	{
		"B3 an expired reservation goes back in place, its attempt spent",
		"a dead worker's job runs again, and one that kills its workers does not run for ever",
		func(f *fixture) {
			c := f.open()
			id, err := c.Push(f.Context(), sqlqueue.Named("job", "data"), sqlqueue.Priority(2), sqlqueue.Unique("key"))
			f.must(err)
			pushed := c.job(id)
			j := c.reserveFrom(1, fromFor(brief, "default"))[0]
			before := c.now()
			c.expire(j)
			got := c.job(id)
			f.between("available_at", got.AvailableAt, before, c.now())
			want := pushed
			want.Attempts, want.AvailableAt = 1, got.AvailableAt
			f.sameJob(got, want)
			if again := c.reserve(1, "default")[0]; again.ID != id || again.Attempts != 2 {
				f.Errorf("reserved %+v", again)
			}
		},
	},
	{
		"B3 an expired reservation goes to the tail",
		"jobs that keep killing workers must not stand before all others",
		func(f *fixture) {
			c := f.open()
			first := c.push()
			j := c.reserveFrom(1, fromFor(brief, "default"))[0]
			second := c.push()
			c.expire(j)
			f.sameIDs(c.take(9, "default"), second, first)
		},
	},
	{
		"B3 only what has expired is requeued",
		"everybody else's jobs are being run",
		func(f *fixture) {
			c := f.open()
			c.pushMany(4)
			live := c.reserve(2, "default")
			dead := c.reserveFrom(2, fromFor(brief, "default"))
			before := c.job(live[0].ID)
			c.expire(dead...)
			for range 3 {
				if n := c.exchange(driver.Exchange{Requeue: 9}).Requeued; n != 0 {
					f.Errorf("requeued %d more", n)
				}
			}
			f.sameJob(c.job(live[0].ID), before)
			c.settle(done(live[0]), done(live[1]))
		},
	},
	{
		"B3 nothing is requeued before its deadline",
		"a job would run twice at once",
		func(f *fixture) {
			c := f.open()
			c.push()
			j := c.reserveFrom(1, fromFor(150*time.Millisecond, "default"))[0]
			for {
				before := c.now()
				if c.exchange(driver.Exchange{Requeue: 1}).Requeued == 1 {
					// The clock of the answer is read at some time during the exchange.
					if after := c.now(); after.Before(j.ExpiresAt) {
						f.Errorf("requeued before %v, expires at %v", after, j.ExpiresAt)
					}
					return
				}
				if before.After(j.ExpiresAt.Add(f.db.patience)) {
					f.Fatalf("expired at %v, and not requeued at %v", j.ExpiresAt, before)
				}
			}
		},
	},
	{
		"B3 the oldest expired come first, no more than the limit",
		"after an outage there may be millions, and the fetch must not wait for all",
		func(f *fixture) {
			c := f.open()
			ids := c.pushMany(5)
			var jobs []sqlqueue.Job
			for i := range 5 { // the later, the sooner it expires
				jobs = append(jobs, c.reserveFrom(1, fromFor(brief-time.Duration(i)*8*time.Millisecond+2*brief, "default"))...)
			}
			slices.SortFunc(jobs, func(a, b sqlqueue.Job) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
			c.awaitDeadline(jobs...)
			waiting := func() []int64 {
				found, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{NotReserved: true})
				f.must(err)
				return idsOf(found)
			}
			for n := 2; n <= 6; n += 2 {
				want := min(n, 5) - (n - 2)
				if got := c.exchange(driver.Exchange{Requeue: 2}).Requeued; got != want {
					f.Fatalf("requeued %d, want %d", got, want)
				}
				oldest := idsOf(jobs[:min(n, 5)])
				slices.Sort(oldest)
				if got := waiting(); !slices.Equal(got, oldest) {
					f.Fatalf("requeued %v so far, want %v of %v", got, oldest, ids)
				}
			}
		},
	},
	{
		"B3 reservations of whatever queue and worker are requeued",
		"the worker that had them, and everybody who served its queue, may be gone for good",
		func(f *fixture) {
			c, other := f.open(), f.open()
			c.push(sqlqueue.OnQueue("mail"), sqlqueue.Priority(4))
			c.push(sqlqueue.OnQueue("sms"))
			jobs := c.reserveFrom(2, fromFor(brief, "mail", "sms"))
			other.expire(jobs...)
			if len(other.reserve(2, "mail", "sms")) != 2 {
				f.Error("not all came back")
			}
		},
	},
	{
		"B3 an expired job can be reserved by the exchange that requeues it",
		"requeue stands before the fetch",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			c.awaitDeadline(c.reserveFrom(1, fromFor(brief, "default"))...)
			var got []sqlqueue.Job
			f.eventually("the expired job is reserved", func() bool {
				got = c.exchange(driver.Exchange{Requeue: 5, Limit: 5, Reserve: from("default")}).Reserved
				return len(got) > 0
			})
			f.sameIDs(got, id)
		},
	},
	{
		"B4 a reservation without expire stays",
		"off means off: such jobs are released by hand",
		func(f *fixture) {
			c := f.open()
			c.pushMany(2)
			jobs := c.reserveFrom(2, fromFor(0, "default"))
			c.exchange(driver.Exchange{Touch: []driver.Touch{touch(jobs[1], brief)}})
			c.awaitDeadline(c.job(jobs[1].ID))
			c.expire(c.job(jobs[1].ID))
			for range 3 {
				if n := c.exchange(driver.Exchange{Requeue: 9}).Requeued; n != 0 {
					f.Errorf("requeued %d", n)
				}
			}
			f.sameJob(c.job(jobs[0].ID), jobs[0])
			c.settle(done(jobs[0]))
		},
	},
	{
		"B4 workers with different expire do not take each other's jobs",
		"each reservation carries its own deadline",
		func(f *fixture) {
			hasty, patient := f.open(), f.open()
			patient.pushMany(2)
			slow := patient.reserve(1, "default")
			quick := hasty.reserveFrom(1, fromFor(brief, "default"))
			hasty.expire(quick...)
			for range 3 {
				if n := hasty.exchange(driver.Exchange{Requeue: 9, Reserve: fromFor(time.Millisecond, "default")}).Requeued; n != 0 {
					f.Errorf("requeued %d of the patient worker's", n)
				}
			}
			patient.settle(done(slow[0]))
		},
	},
	{
		"B5 a reservation that is touched does not expire",
		"a long job is kept alive by its worker",
		func(f *fixture) {
			c, other := f.open(), f.open()
			c.push()
			j := c.reserveFrom(1, fromFor(brief, "default"))[0]
			if lost := c.exchange(driver.Exchange{Touch: []driver.Touch{touch(j, keep)}}).Lost; len(lost) > 0 {
				f.Fatal("it was lost while nobody requeued it")
			}
			other.awaitDeadline(j)
			for range 3 {
				if n := other.exchange(driver.Exchange{Requeue: 9}).Requeued; n != 0 {
					f.Errorf("requeued %d", n)
				}
			}
			c.settle(done(j))
		},
	},
	{
		"B5 an expired reservation that nobody has requeued is still its holder's",
		"after an outage of the database, workers that live settle what they have done",
		func(f *fixture) {
			c := f.open()
			c.pushMany(3)
			jobs := c.reserveFrom(3, fromFor(brief, "default"))
			c.awaitDeadline(jobs...)
			answer := c.exchange(driver.Exchange{
				Settle: []driver.Settlement{done(jobs[0]), putBack(jobs[1], 0)}, Touch: []driver.Touch{touch(jobs[2], keep)},
			})
			if len(answer.Lost) > 0 {
				f.Errorf("lost %v", answer.Lost)
			}
			if n := c.exchange(driver.Exchange{Requeue: 9}).Requeued; n != 0 {
				f.Errorf("requeued %d", n)
			}
		},
	},
	{
		"B3 two clients that requeue at once requeue each job once",
		"every worker requeues before each fetch",
		func(f *fixture) {
			const jobs, clients = 200, 4
			c := f.open()
			c.pushMany(jobs)
			c.awaitDeadline(c.reserveFrom(jobs, fromFor(brief, "default"))...)
			counts := make(chan int, clients)
			for range clients {
				other := f.open()
				go func() {
					n := 0
					for range 60 {
						answer, err := other.Exchange(f.Context(), driver.Exchange{Requeue: 7})
						if err != nil {
							f.Error(err)
							break
						}
						n += answer.Requeued
					}
					counts <- n
				}()
			}
			total := 0
			for range clients {
				total += <-counts
			}
			// Rows that another client has locked are skipped.
			total += c.exchange(driver.Exchange{Requeue: jobs}).Requeued
			if total != jobs {
				f.Errorf("requeued %d, want %d", total, jobs)
			}
		},
	},
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

var reserveCases = []testCase{
	{
		"B2 a job that is committed long after its time is found, though younger ones were reserved before",
		"a store that remembers how far it has come must not pass over what comes to light behind that",
		findLateCommits,
	},
	{
		"B1 C1 a reservation is written whole, and told whole",
		"the handler reads its attempts, the fence its number, everybody else the columns",
		func(f *fixture) {
			c := f.open()
			id, err := c.Push(f.Context(), sqlqueue.Named("job", "data"), sqlqueue.OnQueue("mail"), sqlqueue.Priority(3),
				sqlqueue.Unique("key"))
			f.must(err)
			pushed := c.job(id)
			number := fmt.Sprintf("%064s", c.number()) // the longest
			before := c.now()
			got := c.exchange(driver.Exchange{Number: number, Limit: 1, Reserve: fromFor(time.Minute, "mail")}).Reserved
			after := c.now()
			f.sameIDs(got, id)
			j := got[0]
			f.between("reserved_at", j.ReservedAt, before, after)
			f.between("expires_at", j.ExpiresAt, j.ReservedAt.Add(time.Minute-time.Second), j.ReservedAt.Add(time.Minute+time.Second))
			if !j.Reserved || j.ReservedBy != number || j.Attempts != 1 || j.Queue != "mail" || j.Priority != 3 || j.UniqueKey != "key" ||
				!j.CreatedAt.Equal(pushed.CreatedAt) || !j.AvailableAt.Equal(pushed.AvailableAt) {
				f.Errorf("pushed %+v, reserved %+v", pushed, j)
			}
			f.samePayload(j.Payload, `{"job":"job","data":"data"}`)
			f.sameJob(c.job(id), j)
		},
	},
	{
		"B1 a reserved job is not given again",
		"two workers would run it",
		func(f *fixture) {
			c, other := f.open(), f.open()
			id := c.push()
			f.sameIDs(c.reserve(1, "default"), id)
			for range 3 {
				f.sameIDs(c.take(9, "default"))
				f.sameIDs(other.take(9, "default"))
			}
		},
	},
	{
		"B1 no more than the limit, and the rest next time",
		"a worker has only so many slots",
		func(f *fixture) {
			c := f.open()
			ids := c.pushMany(10)
			f.sameIDs(c.take(4, "default"), ids[:4]...)
			f.sameIDs(c.take(4, "default"), ids[4:8]...)
			f.sameIDs(c.take(4, "default"), ids[8:]...)
			f.sameIDs(c.take(4, "default"))
		},
	},
	{
		"B1 an exchange that asks for nothing reserves nothing",
		"a worker whose slots are full still keeps its reservations alive",
		func(f *fixture) {
			c := f.open()
			c.push()
			f.sameIDs(c.exchange(driver.Exchange{Reserve: from("default")}).Reserved)
			f.sameIDs(c.exchange(driver.Exchange{Limit: 5}).Reserved)
		},
	},
	{
		"B1 a job pushed by another client is found",
		"producers and workers are different processes",
		func(f *fixture) {
			producer, worker := f.open(), f.open()
			f.sameIDs(worker.take(1, "default"))
			for range 3 {
				id := producer.push()
				f.sameIDs(worker.reserve(1, "default"), id)
			}
		},
	},
	{
		"B1 a cancelled context reserves nothing",
		"nobody would ever work on the job until it expires",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			ctx, cancel := context.WithCancel(f.Context())
			cancel()
			_, err := c.Exchange(ctx, driver.Exchange{Number: c.number(), Limit: 1, Reserve: from("default")})
			if !errors.Is(err, context.Canceled) {
				f.Errorf("got %v, want context.Canceled", err)
			}
			f.sameIDs(c.take(1, "default"), id)
		},
	},
	{
		"B2 priority, then available_at, then id",
		"the documents' order",
		func(f *fixture) {
			c := f.open()
			old, older := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
			relaxed := c.push(sqlqueue.Priority(5), sqlqueue.At(older))
			first := c.push(sqlqueue.At(old))
			second := c.push(sqlqueue.At(old))
			oldest := c.push(sqlqueue.At(older))
			urgent := c.push(sqlqueue.Priority(-5))
			lowest := c.push(sqlqueue.Priority(32767), sqlqueue.At(older))
			highest := c.push(sqlqueue.Priority(-32768))
			f.sameIDs(c.take(2, "default"), highest, urgent)
			f.sameIDs(c.take(9, "default"), oldest, first, second, relaxed, lowest)
		},
	},
	{
		"B2 a delayed job of a more urgent priority holds up nobody",
		"ready jobs behind it would wait for its time",
		func(f *fixture) {
			c := f.open()
			c.push(sqlqueue.Priority(-1), sqlqueue.Delay(time.Hour))
			id := c.push()
			f.sameIDs(c.take(9, "default"), id)
		},
	},
	{
		"B2 a priority that another client opens is found soon",
		"an urgent job must not wait behind thousands because nobody looked",
		func(f *fixture) {
			producer, worker := f.open(), f.open()
			for _, priority := range []int{0, 7, -7, 32767} {
				id := producer.push(sqlqueue.Priority(priority))
				f.sameIDs(worker.reserve(1, "default"), id)
			}
		},
	},
	{
		"B2 a job that another client pushes into the past is found soon",
		"a worker that remembers how far it has come must not pass over it for long",
		func(f *fixture) {
			producer, worker := f.open(), f.open()
			for range 3 {
				ids := producer.pushMany(50)
				worker.reserve(50, "default")
				f.exec("INSERT INTO {jobs} (payload, available_at) SELECT '{}', created_at FROM {jobs} WHERE id = ?", ids[9])
				f.inserted()
				old := producer.push(sqlqueue.At(time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)))
				got := idsOf(worker.reserve(2, "default"))
				if slices.Sort(got); got[1] != old {
					f.Errorf("reserved %v, want %d among them", got, old)
				}
			}
		},
	},
	{
		"an exchange that reserves needs a number",
		"without one, nobody could tell one reservation from another",
		func(f *fixture) {
			c := f.open()
			c.push()
			before := f.dump()
			for _, number := range []string{"", fmt.Sprintf("%065s", c.number())} {
				if _, err := c.Exchange(f.Context(), driver.Exchange{Number: number, Limit: 1, Reserve: from("default")}); err == nil {
					f.Errorf("number %q was accepted", number)
				}
			}
			f.unchanged(before)
		},
	},
	{
		"B7 queues in strict order, whatever their priorities and times",
		"--queue high,default means high first",
		func(f *fixture) {
			c := f.open()
			old := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)
			low := c.pushMany(3, sqlqueue.OnQueue("low"), sqlqueue.Priority(-9), sqlqueue.At(old))
			other := c.push(sqlqueue.OnQueue("other"))
			high := c.pushMany(3, sqlqueue.OnQueue("high"), sqlqueue.Priority(9))
			middle := c.push(sqlqueue.OnQueue("middle"))
			f.sameIDs(c.take(2, "high", "middle", "low"), high[0], high[1])
			f.sameIDs(c.take(3, "high", "middle", "low"), high[2], middle, low[0])
			f.sameIDs(c.take(9, "low", "high"), low[1], low[2])
			f.sameIDs(c.take(9, "other"), other)
		},
	},
	{
		"B4 each queue's reservations have their own expire",
		"expire can be set per queue",
		func(f *fixture) {
			c := f.open()
			c.push(sqlqueue.OnQueue("short"))
			c.push(sqlqueue.OnQueue("long"))
			c.push(sqlqueue.OnQueue("never"))
			jobs := c.exchange(driver.Exchange{Limit: 9, Reserve: []driver.Reserve{
				{Queue: "short", Expire: time.Minute}, {Queue: "long", Expire: 100 * time.Hour}, {Queue: "never"},
			}}).Reserved
			if len(jobs) != 3 {
				f.Fatalf("got %d jobs, want 3", len(jobs))
			}
			for i, want := range []time.Duration{time.Minute, 100 * time.Hour} {
				j := jobs[i]
				f.between("expires_at of "+j.Queue,
					j.ExpiresAt, j.ReservedAt.Add(want-30*time.Second), j.ReservedAt.Add(want+30*time.Second))
			}
			if !jobs[2].ExpiresAt.IsZero() || !c.job(jobs[2].ID).ExpiresAt.IsZero() {
				f.Errorf("a reservation that never ends expires at %v", jobs[2].ExpiresAt)
			}
		},
	},
	{
		"B9 attempts grow beyond 255 and 65,535",
		"the original's column was one byte, and one row at 255 stopped the whole queue",
		func(f *fixture) {
			c := f.open()
			for _, attempts := range []int{255, 65535, 1 << 24} {
				id := c.push()
				f.exec("UPDATE {jobs} SET attempts = ? WHERE id = ?", attempts, id)
				f.history.setAttempts(id, attempts)
				j := c.reserveFrom(1, fromFor(brief, "default"))[0]
				if j.Attempts != attempts+1 {
					f.Errorf("attempts is %d after %d", j.Attempts, attempts)
				}
				c.expire(j)
				j = c.reserve(1, "default")[0]
				if j.Attempts != attempts+2 {
					f.Errorf("attempts is %d after %d", j.Attempts, attempts+1)
				}
				c.settle(fail(j, "too often", ""))
				if got := c.failedJobs()[0].Attempts; got != attempts+2 {
					f.Errorf("the failed job has attempts %d, want %d", got, attempts+2)
				}
			}
		},
	},
	{
		"the next due job of the asked queues is told",
		"an idle worker sleeps until then",
		func(f *fixture) {
			producer, worker := f.open(), f.open()
			producer.push(sqlqueue.OnQueue("mail"), sqlqueue.Delay(2*time.Hour))
			next := producer.job(producer.push(sqlqueue.OnQueue("sms"), sqlqueue.Delay(time.Hour), sqlqueue.Priority(7)))
			producer.push(sqlqueue.OnQueue("sms"), sqlqueue.Delay(3*time.Hour))
			producer.push(sqlqueue.OnQueue("other"), sqlqueue.Delay(time.Minute))
			f.eventually("the next due job is told", func() bool {
				return worker.exchange(driver.Exchange{Limit: 1, Reserve: from("mail", "sms")}).NextDue.Equal(next.AvailableAt)
			})
		},
	},
	{
		"a job that becomes due is not reserved by the exchange that comes before",
		"due is due, by the clock that wrote it",
		func(f *fixture) {
			c := f.open()
			due := c.job(c.push(sqlqueue.Delay(100 * time.Millisecond))).AvailableAt
			for {
				answer := c.exchange(driver.Exchange{Limit: 1, Reserve: from("default")})
				if len(answer.Reserved) == 0 {
					if answer.Now.After(due.Add(f.db.patience)) {
						f.Fatalf("due at %v, and not reserved at %v", due, answer.Now)
					}
					continue
				}
				if j := answer.Reserved[0]; j.ReservedAt.Before(due) {
					f.Errorf("due at %v, reserved at %v", due, j.ReservedAt)
				}
				return
			}
		},
	},
	{
		"the clock of the answers does not stand still",
		"workers take the time from it",
		func(f *fixture) {
			c := f.open()
			start := c.now()
			f.eventually("the database's clock moves on", func() bool { return c.now().After(start) })
		},
	},
	{
		"B9 jobs of other queues and delayed ones are not in the way",
		"a queue next to millions must be as good as alone",
		func(f *fixture) {
			c := f.open()
			c.pushMany(500, sqlqueue.Delay(time.Hour))
			other := c.pushMany(500, sqlqueue.OnQueue("other"))
			id := c.push()
			f.sameIDs(c.take(9, "default"), id)
			f.sameIDs(f.open().reserve(1, "other"), other[0])
		},
	},
}

func findLateCommits(f *fixture) {
	const lateBy = 700 * time.Millisecond
	if !f.db.RowLocks {
		f.Log("this database has one writer at a time: nothing can be reserved while the transaction is open")
		return
	}
	for _, way := range f.db.Transactions {
		c, producer := f.open(), f.open()
		bound, tx := producer.begin(way)
		id := bound.push()
		until := c.now().Add(lateBy)
		f.eventually("younger jobs are reserved", func() bool {
			producer.push()
			for _, j := range c.take(10, "default") {
				c.settle(done(j))
			}
			return c.now().After(until)
		})
		f.must(tx.Commit(f.Context()))
		f.eventually("the job is found", func() bool {
			answer := c.exchange(driver.Exchange{Limit: 10, Reserve: from("default")})
			found := false
			for _, j := range answer.Reserved {
				found = found || j.ID == id
				c.settle(done(j))
			}
			if again := answer.NextDue.Sub(answer.Now); !found && (again <= 0 || again > 5*time.Second) {
				f.Fatalf("it is not found, and the next is said to be due at %v, now being %v", answer.NextDue, answer.Now)
			}
			return found
		})
	}
}

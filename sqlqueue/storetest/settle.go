package storetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var settleCases = []testCase{
	{
		"C2 delete: the job is gone",
		"it is done",
		func(f *fixture) {
			c := f.open()
			other := c.push(sqlqueue.OnQueue("other"))
			c.push()
			c.settle(done(c.reserve(1, "default")[0]))
			jobs, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			f.sameIDs(jobs, other)
			if failed := c.failedJobs(); len(failed) != 0 {
				f.Errorf("failed: %v", failed)
			}
		},
	},
	{
		"C3 release: one row changes in place",
		"the original deletes and inserts in two commits, and loses the job in between",
		func(f *fixture) {
			c := f.open()
			id, err := c.Push(f.Context(), sqlqueue.Named("job", "data"), sqlqueue.Priority(2), sqlqueue.Unique("key"), sqlqueue.Tries(3))
			f.must(err)
			pushed := c.job(id)
			j := c.reserve(1, "default")[0]
			before := c.now()
			c.settle(putBack(j, time.Hour))
			after := c.now()
			got := c.job(id)
			f.between("available_at", got.AvailableAt, before.Add(time.Hour), after.Add(time.Hour))
			want := pushed
			want.Attempts, want.AvailableAt = 1, got.AvailableAt
			f.sameJob(got, want)
			f.sameIDs(c.take(1, "default"))
		},
	},
	{
		"C3 release without delay: at once, behind what is ready",
		"a job that asks for another turn lets the others go first",
		func(f *fixture) {
			c := f.open()
			first, second := c.push(), c.push()
			c.settle(putBack(c.reserve(1, "default")[0], 0))
			jobs := c.reserve(2, "default")
			f.sameIDs(jobs, second, first)
			if jobs[1].Attempts != 2 {
				f.Errorf("attempts is %d, want 2", jobs[1].Attempts)
			}
		},
	},
	{
		"C3 a released job is due after its delay",
		"backoff",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			c.settle(putBack(c.reserve(1, "default")[0], brief))
			due := c.job(id).AvailableAt
			if j := c.reserve(1, "default")[0]; j.ReservedAt.Before(due) || j.Attempts != 2 {
				f.Errorf("due at %v, reserved at %v, attempts %d", due, j.ReservedAt, j.Attempts)
			}
		},
	},
	{
		"C2 give-back: the attempt is not spent",
		"what was reserved and never started, or snoozed, must not use up tries",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			for range 3 {
				j := c.reserve(1, "default")[0]
				if j.Attempts != 1 {
					f.Fatalf("attempts is %d, want 1", j.Attempts)
				}
				c.settle(giveBack(j))
				if got := c.job(id).Attempts; got != 0 {
					f.Fatalf("attempts is %d after the give-back, want 0", got)
				}
			}
			back := giveBack(c.reserve(1, "default")[0])
			back.Delay = time.Hour
			c.settle(back)
			if j := c.job(id); j.Attempts != 0 || j.Reserved || j.AvailableAt.Before(c.now().Add(50*time.Minute)) {
				f.Errorf("given back for an hour: %+v", j)
			}
		},
	},
	{
		"C10 exceptions: counted by the releases that say so",
		"a job may be released often, and yet fail after few errors",
		func(f *fixture) {
			c := f.open()
			c.pushMany(2)
			want := []int{0, 0}
			for turn := range 3 {
				jobs := c.reserve(2, "default")
				slices.SortFunc(jobs, func(a, b sqlqueue.Job) int { return cmp.Compare(a.ID, b.ID) })
				var settlements []driver.Settlement
				for i, j := range jobs {
					if j.Exceptions != want[i] {
						f.Errorf("turn %d: job %d is given with %d exceptions, want %d", turn, i, j.Exceptions, want[i])
					}
					s := putBack(j, 0)
					s.Exception = i == 0 || turn == 1
					if s.Exception {
						want[i]++
					}
					settlements = append(settlements, s)
				}
				c.settle(settlements...)
			}
			jobs, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			for i, j := range jobs {
				if j.Exceptions != want[i] {
					f.Errorf("job %d has %d exceptions, want %d", i, j.Exceptions, want[i])
				}
			}
		},
	},
	{
		"C7 fail: the row moves with its error and stack",
		"failed jobs are kept, with everything that is needed to retry them",
		func(f *fixture) {
			c := f.open()
			id, err := c.Push(f.Context(), sqlqueue.Named("job", "data"), sqlqueue.OnQueue("mail"), sqlqueue.Priority(-3),
				sqlqueue.Unique("key"))
			f.must(err)
			pushed := c.job(id)
			j := c.reserve(1, "mail")[0]
			before := c.now()
			c.settle(fail(j, "it broke", "main.go:1"))
			after := c.now()
			f.empty()
			failed := c.failedJobs()
			if len(failed) != 1 {
				f.Fatalf("%d failed jobs, want 1", len(failed))
			}
			got := failed[0]
			if got.JobID != id || got.Queue != "mail" || got.Priority != -3 || got.Attempts != 1 || got.UniqueKey != "key" ||
				got.Error != "it broke" || got.Stack != "main.go:1" || !got.CreatedAt.Equal(pushed.CreatedAt) {
				f.Errorf("got %+v from %+v", got, pushed)
			}
			f.samePayload(got.Payload, string(pushed.Payload))
			f.between("failed_at", got.FailedAt, before, after)
		},
	},
	{
		"C7 a failing job is never in both tables nor in none, for anyone who looks",
		"the move is one transaction",
		failsAtOnce,
	},
	{
		"every outcome in one exchange",
		"a batch is of whatever finished",
		func(f *fixture) {
			c := f.open()
			ids := c.pushMany(10)
			jobs := c.reserve(10, "default")
			now := c.now()
			answer := c.exchange(driver.Exchange{
				Settle: []driver.Settlement{
					fail(jobs[7], "seven", "s7"), done(jobs[0]), putBack(jobs[2], time.Hour), giveBack(jobs[5]), done(jobs[9]),
					fail(jobs[3], "three", ""), putBack(jobs[1], 2*time.Hour),
				},
				Touch: []driver.Touch{touch(jobs[8], time.Hour), touch(jobs[4], 0)},
			})
			if len(answer.Lost)+len(answer.Locked) != 0 {
				f.Fatalf("lost %v, locked %v", answer.Lost, answer.Locked)
			}
			left, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			f.sameIDs(left, ids[1], ids[2], ids[4], ids[5], ids[6], ids[8])
			for i, want := range []struct {
				reserved bool
				attempts int
				delay    time.Duration
				expire   time.Duration
			}{
				{false, 1, 2 * time.Hour, 0},
				{false, 1, time.Hour, 0},
				{true, 1, 0, 0},
				{false, 0, 0, 0},
				{true, 1, 0, keep},
				{true, 1, 0, time.Hour},
			} {
				got := left[i]
				if got.Reserved != want.reserved || got.Attempts != want.attempts || got.ExpiresAt.IsZero() != (want.expire == 0) {
					f.Errorf("job %d: got %+v, want %+v", got.ID, got, want)
				}
				if want.delay != 0 {
					f.between("available_at", got.AvailableAt, now.Add(want.delay-time.Second), now.Add(want.delay+patience))
				}
				if want.expire != 0 {
					f.between("expires_at", got.ExpiresAt, now.Add(want.expire-patience), now.Add(want.expire+patience))
				}
			}
			failed := c.failedJobs()
			if len(failed) != 2 {
				f.Fatalf("%d failed jobs, want 2", len(failed))
			}
			for _, j := range failed {
				if want := map[int64]string{ids[7]: "seven", ids[3]: "three"}[j.JobID]; j.Error != want {
					f.Errorf("failed job %d has error %q, want %q", j.JobID, j.Error, want)
				}
			}
		},
	},
	{
		"an exchange settles first and reserves last",
		"the slot that a job leaves is filled in the same conversation, and a job that finished is not requeued by its own worker",
		func(f *fixture) {
			c := f.open()
			c.push()
			second := c.push()
			jobs := c.reserveFrom(2, fromFor(brief, "default"))
			c.awaitDeadline(jobs...)
			answer := c.exchange(driver.Exchange{
				Settle: []driver.Settlement{done(jobs[0])}, Touch: []driver.Touch{touch(jobs[1], keep)},
				Requeue: 9, Limit: 9, Reserve: from("default"),
			})
			if len(answer.Lost)+len(answer.Locked)+answer.Requeued+len(answer.Reserved) != 0 {
				f.Errorf("got %+v", answer)
			}
			left, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			f.sameIDs(left, second)

			var again []sqlqueue.Job
			back := []driver.Settlement{putBack(jobs[1], 0)}
			f.eventually("what is released can be reserved", func() bool {
				again = c.exchange(driver.Exchange{Settle: back, Limit: 9, Reserve: from("default")}).Reserved
				back = nil
				return len(again) > 0
			})
			f.sameIDs(again, second)
		},
	},
	{
		"hundreds of settlements in one exchange",
		"batches form by themselves, and grow",
		func(f *fixture) {
			c := f.open()
			c.pushMany(900)
			jobs := c.reserve(900, "default")
			var settle []driver.Settlement
			for i, j := range jobs {
				switch i % 3 {
				case 0:
					settle = append(settle, done(j))
				case 1:
					settle = append(settle, putBack(j, time.Hour))
				default:
					settle = append(settle, fail(j, "no", "where"))
				}
			}
			c.settle(settle...)
			if jobs, failed := f.count("SELECT count(*) FROM {jobs}"), f.count("SELECT count(*) FROM {failed_jobs}"); jobs != 300 ||
				failed != 300 {
				f.Errorf("%d jobs and %d failed jobs, want 300 and 300", jobs, failed)
			}
		},
	},
	{
		"error texts come back as they were",
		"the reason is what people read first",
		func(f *fixture) {
			c := f.open()
			texts := []string{
				"", "it's \"quoted\" and `quoted`", `back\slash, \n, \u0000, %s, $1, ?, :name, {x}`, "two\nlines\r\n\ttab",
				"日本語 🎉 \u00ff \u200b", "--'; DROP TABLE jobs; /*", " space at the ends ", strings.Repeat("long ", 20000),
				"\x01\x1b[31m\x7f", "\ufeff\u2028\ufffd",
			}
			c.pushMany(len(texts))
			var settle []driver.Settlement
			want := map[int64]string{}
			for i, j := range c.reserve(len(texts), "default") {
				settle = append(settle, fail(j, texts[i], texts[len(texts)-1-i]))
				want[j.ID] = texts[i] + "|" + texts[len(texts)-1-i]
			}
			c.settle(settle...)
			for _, j := range c.failedJobs() {
				if got := j.Error + "|" + j.Stack; got != want[j.JobID] {
					f.Errorf("got %.200q, want %.200q", got, want[j.JobID])
				}
			}
		},
	},
	{
		"B5 touch moves the end of a reservation",
		"a running job is kept",
		func(f *fixture) {
			c := f.open()
			c.push()
			j := c.reserve(1, "default")[0]
			for _, expire := range []time.Duration{time.Hour, time.Minute, 0, 2 * time.Hour} {
				before := c.now()
				if answer := c.exchange(driver.Exchange{Touch: []driver.Touch{touch(j, expire)}}); len(answer.Lost)+len(answer.Locked) > 0 {
					f.Fatalf("lost %v, locked %v", answer.Lost, answer.Locked)
				}
				got := c.job(j.ID)
				if expire == 0 {
					if !got.ExpiresAt.IsZero() {
						f.Errorf("touched for ever, it expires at %v", got.ExpiresAt)
					}
				} else {
					f.between("expires_at", got.ExpiresAt, before.Add(expire), c.now().Add(expire))
				}
				got.ExpiresAt = j.ExpiresAt
				f.sameJob(got, j)
			}
			c.settle(done(j))
		},
	},
	{
		"Delete outside of a transaction settles one job",
		"the same call works with a transaction and without",
		func(f *fixture) {
			c := f.open()
			c.pushMany(2)
			jobs := c.reserve(2, "default")
			f.must(c.Delete(f.Context(), jobs[0]))
			if err := c.Delete(f.Context(), jobs[0].Reservation()); !errors.Is(err, sqlqueue.ErrReservationLost) {
				f.Errorf("got %v, want ErrReservationLost", err)
			}
			left, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			f.sameIDs(left, jobs[1].ID)
		},
	},
	{
		"a cancelled context settles nothing",
		"the worker settles again, and must find its reservation",
		func(f *fixture) {
			c := f.open()
			c.push()
			j := c.reserve(1, "default")[0]
			ctx, cancel := context.WithCancel(f.Context())
			cancel()
			if _, err := c.Exchange(ctx, driver.Exchange{Settle: []driver.Settlement{done(j)}}); !errors.Is(err, context.Canceled) {
				f.Errorf("got %v, want context.Canceled", err)
			}
			c.settle(done(j))
		},
	},
}

// failsAtOnce counts the rows of both tables in one statement, again and again, while jobs fail and are retried.
func failsAtOnce(f *fixture) {
	const jobs, rounds = 20, 15
	c := f.open()
	c.pushMany(jobs)
	over := make(chan struct{})
	stop := sync.OnceFunc(func() { close(over) })
	defer stop()
	counted := make(chan error, 1)
	go func() {
		counted <- func() error {
			for {
				select {
				case <-over:
					return nil
				default:
				}
				var n int
				const both = "SELECT (SELECT count(*) FROM {jobs}) + (SELECT count(*) FROM {failed_jobs})"
				if err := f.db.SQL.QueryRowContext(f.Context(), f.sql(both)).Scan(&n); err != nil {
					return err
				}
				if n != jobs {
					return errors.New("a look at both tables found another number of jobs")
				}
			}
		}()
	}()
	for range rounds {
		var settle []driver.Settlement
		for _, j := range c.reserve(jobs, "default") {
			settle = append(settle, fail(j, "no", ""))
		}
		c.settle(settle...)
		if n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{}); err != nil || n != jobs {
			f.Errorf("retried %d, %v", n, err)
			break
		}
	}
	stop()
	f.must(<-counted)
}

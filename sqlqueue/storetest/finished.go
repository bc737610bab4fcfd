package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// kept makes a settlement keep its job for an hour.
func kept(s driver.Settlement, result string) driver.Settlement {
	s.Keep = &driver.Keep{For: time.Hour, Name: "job", Outcome: driver.Done, Worker: "w"}
	if result != "" {
		s.Keep.Result = []byte(result)
	}
	return s
}

// finished reads the finished jobs, those that finished last first.
func (c *client) finished(filter operator.FinishedFilter) []operator.FinishedJob {
	c.f.Helper()
	jobs, err := operator.New(c.Queue).FinishedJobs(c.f.Context(), filter)
	c.f.must(err)
	return jobs
}

// keeps checks which jobs are kept, those that finished first first.
func (f *fixture) keeps(c *client, want ...int64) []operator.FinishedJob {
	f.Helper()
	jobs := c.finished(operator.FinishedFilter{})
	slices.Reverse(jobs)
	var got []int64
	for _, j := range jobs {
		got = append(got, j.ID)
	}
	if !slices.Equal(got, want) {
		f.Errorf("kept are %v, want %v", got, want)
	}
	return jobs
}

// pass lets the time of keeping pass for a job.
func (f *fixture) pass(c *client, id int64) {
	d := c.database()
	s := d.Statement("UPDATE %s SET ", d.Table("job_finished"))
	s.Add("keep_until = %s", s.Time(c.now().Add(-time.Minute)))
	s.Add(" WHERE job_id = %s", s.Arg(id))
	_, err := s.Exec(f.Context(), d.DB)
	f.must(err)
}

const oddResult = `{"é":"'\\\\\" 😀","n":[1,null]}`

var finishedCases = []testCase{
	{
		"a kept job is moved to the finished jobs with all that it was, and others are deleted",
		"operators ask what ran, and programs for the result",
		func(f *fixture) {
			c := f.open()
			before := c.now()
			_, err := c.Push(f.Context(), sqlqueue.Named("job", "é'\\"), sqlqueue.Priority(7))
			f.must(err)
			ids := append([]int64{}, c.pushMany(3, sqlqueue.Priority(9))...)
			jobs := c.reserve(4, "default")
			started := before.Add(-time.Hour)
			first, last := kept(done(jobs[0]), oddResult), kept(done(jobs[3]), "")
			first.Keep.Started = started
			last.Keep.Name, last.Keep.Outcome, last.Keep.For = "other'\\", driver.Discarded, time.Minute
			c.settle(first, done(jobs[1]), fail(jobs[2], "why", ""), last)
			after := c.now()

			all := f.keeps(c, jobs[0].ID, ids[2])
			if len(all) != 2 {
				return
			}
			j := all[0]
			f.samePayload(j.Payload, string(jobs[0].Payload))
			f.samePayload(j.Result, oddResult)
			if j.Queue != "default" || j.Name != "job" || j.Priority != 7 || j.Attempts != 1 || j.Outcome != driver.Done ||
				j.Worker != "w" || !j.CreatedAt.Equal(jobs[0].CreatedAt) || !j.StartedAt.Equal(started) {
				f.Errorf("finished: %+v", j)
			}
			f.between("finished_at", j.FinishedAt, before, after)
			f.between("keep_until", j.KeepUntil, before.Add(time.Hour), after.Add(time.Hour))
			j = all[1]
			if j.Name != "other'\\" || j.Outcome != driver.Discarded || j.Result != nil || !j.StartedAt.Equal(jobs[3].ReservedAt) {
				f.Errorf("finished: %+v", j)
			}
			f.between("keep_until", j.KeepUntil, before.Add(time.Minute), after.Add(time.Minute))
			if n := f.count("SELECT count(*) FROM {jobs}"); n != 0 {
				f.Errorf("%d jobs are left", n)
			}
			if n := len(c.failedJobs()); n != 1 {
				f.Errorf("%d failed jobs, want 1", n)
			}
		},
	},
	{
		"a job is kept only by the settlement that ends it",
		"a late worker must not write that a job is done which another one runs",
		func(f *fixture) {
			c := f.open()
			c.pushMany(2)
			jobs := c.reserve(2, "default")
			settle := kept(done(jobs[0]), "1")
			c.settle(settle)
			stranger := jobs[1]
			stranger.ReservedBy = c.number()
			for _, s := range []driver.Settlement{settle, kept(done(stranger), "2"), kept(done(jobs[0]), "3")} {
				if answer := c.exchange(driver.Exchange{Settle: []driver.Settlement{s}}); len(answer.Lost) != 1 {
					f.Errorf("%v: lost %v, want it", s, answer.Lost)
				}
			}
			c.settle(kept(putBack(jobs[1], 0), "4"))
			f.keeps(c, jobs[0].ID)
			again := c.reserve(1, "default")[0]
			c.settle(kept(fail(again, "why", ""), "5"))
			f.keeps(c, jobs[0].ID)
		},
	},
	{
		"a job that is tried again is kept when it is done at last",
		"its attempts and its last run are what operators want to see",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			c.settle(putBack(c.reserve(1, "default")[0], 0))
			c.settle(kept(done(c.reserve(1, "default")[0]), "1"))
			for _, j := range f.keeps(c, id) {
				if j.Attempts != 2 {
					f.Errorf("attempts %d, want 2", j.Attempts)
				}
			}
		},
	},
	{
		"a kept job pushes what comes next, once",
		"chains and results go together",
		func(f *fixture) {
			c := f.open()
			c.pushMany(2)
			jobs := c.reserve(2, "default")
			settle := then(kept(done(jobs[0]), "1"), "next", "a", "b")
			c.settle(settle, then(done(jobs[1]), "other", "a"))
			c.exchange(driver.Exchange{Settle: []driver.Settlement{settle}})
			f.named(c, "next", "a", "b")
			f.named(c, "other", "a")
			f.keeps(c, jobs[0].ID)
		},
	},
	{
		"in a caller's transaction, a job is kept if it commits",
		"a handler that completes its job in its own transaction",
		func(f *fixture) {
			c := f.open()
			var want []int64
			for _, way := range f.db.Transactions {
				id := c.push()
				settle := kept(done(c.reserve(1, "default")[0]), "1")
				bound, tx := c.begin(way)
				bound.exchange(driver.Exchange{Settle: []driver.Settlement{settle}})
				f.must(tx.Rollback(f.Context()))
				f.keeps(c, want...)
				bound, tx = c.begin(way)
				bound.exchange(driver.Exchange{Settle: []driver.Settlement{settle}})
				f.must(tx.Commit(f.Context()))
				want = append(want, id)
				f.keeps(c, want...)
			}
		},
	},
	{
		"a locked job is kept when it is settled, once",
		"what is skipped is tried again",
		func(f *fixture) {
			if !f.db.RowLocks {
				f.Log("a database with one writer has no locked rows")
				return
			}
			c := f.open()
			c.push()
			j := c.reserve(1, "default")[0]
			settle := kept(done(j), "1")
			bound, tx := c.begin(f.db.Transactions[0])
			f.must(bound.Hold(f.Context(), j))
			if answer := c.exchange(driver.Exchange{Settle: []driver.Settlement{settle}}); len(answer.Locked) != 1 {
				f.Errorf("locked %v, want one", answer.Locked)
			}
			f.keeps(c)
			f.must(tx.Rollback(context.Background()))
			f.eventually("the row is free", func() bool {
				return len(c.exchange(driver.Exchange{Settle: []driver.Settlement{settle}}).Locked) == 0
			})
			f.keeps(c, j.ID)
		},
	},
	{
		"thousands of jobs that end at once are kept, each with its own result",
		"a busy worker settles in large batches",
		func(f *fixture) {
			f.long()
			c := f.open()
			const n = 2000
			c.pushMany(n)
			var settle []driver.Settlement
			for _, j := range c.reserve(n, "default") {
				settle = append(settle, kept(done(j), fmt.Sprintf(`{"id":%d,"text":%q}`, j.ID, strings.Repeat("x", 500))))
			}
			c.settle(settle...)
			if got := f.count("SELECT count(*) FROM {job_finished}"); got != n {
				f.Errorf("%d jobs are kept, want %d", got, n)
			}
			for _, j := range c.finished(operator.FinishedFilter{Limit: 1000}) {
				var result struct{ ID int64 }
				if err := json.Unmarshal(j.Result, &result); err != nil || result.ID != j.ID {
					f.Fatalf("job %d has the result of %d (%v)", j.ID, result.ID, err)
				}
			}
		},
	},
	{
		"jobs of a batch are kept like others, and the batch ends",
		"an import of a thousand rows whose results are read at the end",
		func(f *fixture) {
			c := f.open()
			_, queue := c.batch(2)
			jobs := c.reserve(2, queue)
			c.settle(kept(done(jobs[0]), "1"), kept(done(jobs[1]), "2"))
			c.look()
			f.called(1, 1, 0)
			if got := c.finished(operator.FinishedFilter{Queue: queue}); len(got) != 2 {
				f.Errorf("%d jobs of the batch are kept, want 2", len(got))
			}
		},
	},
	{
		"a beat deletes finished jobs whose time has passed, however many, and no others",
		"the table must not grow for ever",
		func(f *fixture) {
			c := f.open()
			const n = 1005 // more than one step
			ids := c.pushMany(n)
			var settle []driver.Settlement
			for _, j := range c.reserve(n, "default") {
				settle = append(settle, kept(done(j), ""))
			}
			c.settle(settle...)
			f.exec("UPDATE {job_finished} SET keep_until = created_at WHERE job_id <> ?", ids[0])
			c.beat(driver.Beat{})
			if got := f.count("SELECT count(*) FROM {job_finished}"); got != n {
				f.Errorf("a beat that deletes nothing has left %d of %d", got, n)
			}
			f.eventually("the old ones are deleted", func() bool {
				c.beat(driver.Beat{Unseen: time.Hour})
				return f.count("SELECT count(*) FROM {job_finished}") == 1
			})
			f.keeps(c, ids[0])
			f.pass(c, ids[0])
			f.eventually("the last is deleted", func() bool {
				c.beat(driver.Beat{Unseen: time.Hour})
				return f.count("SELECT count(*) FROM {job_finished}") == 0
			})
		},
	},
	{
		"finished jobs are listed by queue, by name and by id, a page at a time",
		"the history of what ran",
		func(f *fixture) {
			c := f.open()
			a, b := c.pushMany(4), c.pushMany(2, sqlqueue.OnQueue("mail"))
			for _, queue := range []string{"default", "mail"} {
				for _, j := range c.reserve(len(map[string][]int64{"default": a, "mail": b}[queue]), queue) {
					s := kept(done(j), "1")
					s.Keep.Name = fmt.Sprint("n", j.ID%2)
					c.settle(s)
				}
			}
			for _, of := range []struct {
				filter operator.FinishedFilter
				want   []int64
			}{
				{operator.FinishedFilter{}, []int64{b[1], b[0], a[3], a[2], a[1], a[0]}},
				{operator.FinishedFilter{Queue: "mail"}, []int64{b[1], b[0]}},
				{operator.FinishedFilter{Queue: "none"}, nil},
				{operator.FinishedFilter{IDs: []int64{a[2], b[0], 999999}}, []int64{b[0], a[2]}},
				{operator.FinishedFilter{Queue: "default", Name: fmt.Sprint("n", a[1]%2)}, []int64{a[3], a[1]}},
				{
					operator.FinishedFilter{
						Name: fmt.Sprint("n", a[0]%2), Limit: 2, Before: c.finished(operator.FinishedFilter{IDs: a[2:3]})[0].Number,
					}, []int64{a[0]},
				},
			} {
				var got []int64
				for _, j := range c.finished(of.filter) {
					got = append(got, j.ID)
				}
				if !slices.Equal(got, of.want) {
					f.Errorf("%+v: %v, want %v", of.filter, got, of.want)
				}
			}
			if got := c.finished(operator.FinishedFilter{TextMax: 5})[0]; len(got.Payload) != 5 {
				f.Errorf("a payload cut to 5 is %s", got.Payload)
			}
			if _, err := operator.New(c.Queue).FinishedJob(f.Context(), 999999); !errors.Is(err, operator.ErrNotFound) {
				f.Errorf("a job that was never kept: %v", err)
			}
		},
	},
	{
		"what operators say about keeping reaches workers: the queue's own word, the nearest level's, or that for all",
		"history is switched on and off while workers run",
		func(f *fixture) {
			c := f.open()
			o := operator.New(c.Queue)
			said := func() map[string]time.Duration {
				return c.exchange(driver.Exchange{Limit: 1, Reserve: from("none", "mail/*")}).Keep
			}
			if got := said(); got == nil || len(got) != 0 {
				f.Errorf("before anything was said: %v, want an empty map", got)
			}
			for queue, d := range map[string]time.Duration{
				"*": time.Hour, "mail/*": 2 * time.Hour, "mail/eu/*": 0, "mail/42": 3 * time.Hour,
			} {
				f.must(o.SetKeep(f.Context(), operator.Keep{Queue: queue, For: d}))
			}
			f.must(o.Control(f.Context(), "paused", operator.ControlChange{Pause: true}))
			f.eventually("the worker knows", func() bool { return len(said()) == 4 })
			for queue, want := range map[string]time.Duration{
				"any": time.Hour, "mail": time.Hour, "mail/1": 2 * time.Hour,
				"mail/42": 3 * time.Hour, "mail/eu/1": 0, "mail/us/1": 2 * time.Hour,
			} {
				if got := driver.KeepOf(said(), queue); got != want {
					f.Errorf("%s: %v, want %v", queue, got, want)
				}
				keeps, err := o.Keeps(f.Context())
				f.must(err)
				if got := operator.KeepOf(keeps, queue); got != want {
					f.Errorf("%s, for operators: %v, want %v", queue, got, want)
				}
			}
			for _, queue := range []string{"*", "mail/*", "mail/eu/*", "mail/42"} {
				f.must(o.ResetKeep(f.Context(), queue))
			}
			f.eventually("the worker forgets", func() bool { return len(said()) == 0 })
			for _, wrong := range []operator.Keep{
				{Queue: "", For: time.Hour},
				{Queue: "a*", For: time.Hour},
				{Queue: "a/*/b", For: time.Hour},
				{Queue: "a", For: -1},
				{Queue: "a", For: time.Microsecond},
			} {
				if err := o.SetKeep(f.Context(), wrong); err == nil {
					f.Errorf("%+v: no error", wrong)
				}
			}
		},
	},
	{
		"a rest of a queue that is over does not take along how long its jobs are kept",
		"workers tidy the table of queues",
		func(f *fixture) {
			c := f.open()
			o := operator.New(c.Queue)
			f.must(o.SetKeep(f.Context(), operator.Keep{Queue: "mail", For: time.Hour}))
			f.must(c.Throttle(f.Context(), "mail", time.Hour))
			d := c.database()
			s := d.Statement("UPDATE %s SET ", d.Table("job_queues"))
			s.Add("paused_until = %s", s.Time(c.now().Add(-48*time.Hour)))
			_, err := s.Exec(f.Context(), d.DB)
			f.must(err)
			c.beat(driver.Beat{OldCounts: operator.CountsKept})
			keeps, err := o.Keeps(f.Context())
			f.must(err)
			if len(keeps) != 1 {
				f.Errorf("keeps are %v, want that of mail", keeps)
			}
		},
	},
	{
		"progress is written with a touch, by the holder of the reservation alone, and belongs to that run",
		"a bar that shows the run before, or what a late worker says, is wrong",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			j := c.reserve(1, "default")[0]
			o := operator.New(c.Queue)
			says := func(j sqlqueue.Job, fraction float64, text string) driver.Exchanged {
				t := touch(j, keep)
				t.Progress = &driver.Progress{Fraction: fraction, Text: text}
				return c.exchange(driver.Exchange{Touch: []driver.Touch{t}})
			}
			is := func(want *driver.Progress) {
				f.Helper()
				got, err := o.Progress(f.Context(), id, 999999)
				f.must(err)
				switch p, ok := got[id]; {
				case ok != (want != nil) || len(got) > 1:
					f.Errorf("progress is %v, want %v", got, want)
				case ok && (p.Fraction != want.Fraction || p.Text != want.Text || p.At.IsZero()):
					f.Errorf("progress is %+v, want %+v", p, want)
				}
			}
			is(nil)
			says(j, 0.25, "é'\\ rows")
			is(&driver.Progress{Fraction: 0.25, Text: "é'\\ rows"})
			says(j, 1, "")
			is(&driver.Progress{Fraction: 1})
			c.exchange(driver.Exchange{Touch: []driver.Touch{touch(j, keep)}})
			is(&driver.Progress{Fraction: 1})
			stranger := j
			stranger.ReservedBy = c.number()
			if answer := says(stranger, 0.5, "late"); len(answer.Lost) != 1 {
				f.Errorf("lost %v, want one", answer.Lost)
			}
			is(&driver.Progress{Fraction: 1})
			c.settle(putBack(j, 0))
			is(nil)
			j = c.reserve(1, "default")[0]
			is(nil)
			says(j, 0, "again")
			is(&driver.Progress{Text: "again"})
			c.settle(done(j))
			is(nil)
			d := c.database()
			s := d.Statement("UPDATE %s SET ", d.Table("job_progress"))
			s.Add("at = %s", s.Time(c.now().Add(-driver.ProgressKept-time.Hour)))
			_, err := s.Exec(f.Context(), d.DB)
			f.must(err)
			f.eventually("old progress is deleted", func() bool {
				c.beat(driver.Beat{OldCounts: operator.CountsKept})
				return f.count("SELECT count(*) FROM {job_progress}") == 0
			})
		},
	},
	{
		"Wait returns the result of a kept job, the error of a failed one, and says when nothing is known",
		"a program waits for a report",
		func(f *fixture) {
			c := f.open()
			ids := c.pushMany(5)
			jobs := c.reserve(5, "default")
			go func() {
				time.Sleep(50 * time.Millisecond) //nolint:forbidigo // Wait has looked by then, or looks later: both must be right
				_, _ = c.Exchange(context.Background(), driver.Exchange{Settle: []driver.Settlement{
					kept(done(jobs[0]), `{"rows":3}`), fail(jobs[1], "no luck", ""), done(jobs[2]),
				}})
			}()
			got, err := c.Wait(f.Context(), ids[0])
			f.must(err)
			var result struct{ Rows int }
			if err := got.ReadResult(&result); err != nil || result.Rows != 3 || got.ID != ids[0] {
				f.Errorf("result %+v of %+v, %v", result, got, err)
			}
			_, err = c.Wait(f.Context(), ids[1])
			var failed *sqlqueue.JobFailedError
			if !errors.As(err, &failed) || failed.ID != ids[1] || failed.Reason != "no luck" || failed.FailedID != c.failedJobs()[0].ID {
				f.Errorf("a failed job: %v", err)
			}
			for _, id := range []int64{ids[2], 999999} {
				if _, err := c.Wait(f.Context(), id); !errors.Is(err, sqlqueue.ErrNotKept) {
					f.Errorf("job %d: %v, want ErrNotKept", id, err)
				}
			}
			c.settle(putBack(jobs[3], 0))
			for _, id := range ids[3:] {
				ctx, cancel := context.WithTimeout(f.Context(), 30*time.Millisecond)
				if _, err := c.Wait(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
					f.Errorf("job %d, which has not ended: %v", id, err)
				}
				cancel()
			}
			if _, err := c.Wait(f.Context(), 0); err == nil {
				f.Error("no error for the id 0")
			}
			for _, way := range f.db.Transactions {
				bound, tx := c.begin(way)
				if _, err := bound.Wait(f.Context(), ids[0]); err == nil || !strings.Contains(err.Error(), "after the commit") {
					f.Errorf("in a transaction: %v", err)
				}
				f.must(tx.Rollback(f.Context()))
			}
			c.settle(kept(done(jobs[4]), ""))
			got, err = c.Wait(f.Context(), ids[4])
			f.must(err)
			if err := got.ReadResult(new(any)); err == nil {
				f.Error("a job without a result has one")
			}
		},
	},
}

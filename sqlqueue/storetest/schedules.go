package storetest

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// schedule sets a schedule on a queue of its name, and moves its next time so far into the past.
func (c *client) schedule(s sqlqueue.Schedule, late time.Duration) {
	c.f.Helper()
	s.Job = sqlqueue.With(sqlqueue.Named("scheduled", nil), sqlqueue.OnQueue(s.Name))
	c.f.must(c.Schedule(c.f.Context(), s))
	c.late(s.Name, late)
}

// late moves a schedule's next time so far into the past.
func (c *client) late(name string, d time.Duration) {
	c.f.Helper()
	now, err := operator.New(c.Queue).Now(c.f.Context())
	c.f.must(err)
	of, err := operator.New(c.Queue).Schedule(c.f.Context(), name)
	c.f.must(err)
	of.NextAt = now.Add(-d)
	c.f.must(c.database().SetSchedule(c.f.Context(), of, true))
}

// database is that of the client's store.
func (c *client) database() *sqldb.Database {
	c.f.Helper()
	store, err := c.Store(c.f.Context())
	c.f.must(err)
	d, err := sqldb.Of(store)
	c.f.must(err)
	return d
}

// comes runs what is due, and returns how many jobs were pushed.
func (c *client) comes() int {
	c.f.Helper()
	before := c.f.count("SELECT count(*) FROM {jobs}")
	_, _, err := c.RunSchedules(c.f.Context())
	c.f.must(err)
	n := c.f.count("SELECT count(*) FROM {jobs}") - before
	c.f.history.inserted(n)
	return n
}

// chores asks for the chores in an exchange.
func (c *client) chores() driver.Chores {
	c.f.Helper()
	answer, err := c.Exchange(c.f.Context(), driver.Exchange{Chores: true})
	c.f.must(err)
	if answer.Chores == nil {
		c.f.Fatalf("the exchange says nothing of the chores")
	}
	return *answer.Chores
}

var scheduleCases = []testCase{
	{
		"an exchange tells when the next schedule comes, and whether batches are open",
		"idle workers would ask the database for both all the time",
		func(f *fixture) {
			c := f.open()
			o := operator.New(c.Queue)
			wants := func(what string, next time.Time, open bool) {
				f.Helper()
				if got := c.chores(); !got.NextSchedule.Equal(next) || got.OpenBatches != open {
					f.Errorf("%s: %+v, want %v and %v", what, got, next, open)
				}
			}
			wants("nothing", time.Time{}, false)
			if answer, err := c.Exchange(f.Context(), driver.Exchange{}); err != nil || answer.Chores != nil {
				f.Errorf("nobody has asked, and the answer is %+v, %v", answer.Chores, err)
			}
			for _, name := range []string{"early", "late"} {
				c.schedule(sqlqueue.Schedule{Name: name, Every: "1h"}, -map[string]time.Duration{
					"early": time.Hour, "late": 2 * time.Hour,
				}[name])
			}
			nextOf := func(name string) time.Time {
				of, err := o.Schedule(f.Context(), name)
				f.must(err)
				return of.NextAt
			}
			wants("two schedules", nextOf("early"), false)
			f.must(o.PauseSchedule(f.Context(), "early"))
			wants("the first is paused", nextOf("late"), false)
			f.exec("UPDATE {job_schedules} SET next_at = NULL WHERE name = 'late'")
			if got := c.chores(); got.NextSchedule.IsZero() || got.NextSchedule.After(time.Unix(1, 0)) {
				f.Errorf("a schedule without a time comes at %v", got.NextSchedule)
			}
			f.must(o.RemoveSchedule(f.Context(), "late"))
			id, err := c.Batch("import").Create(f.Context())
			f.must(err)
			wants("a batch", time.Time{}, true)
			_, err = o.CancelBatch(f.Context(), id)
			f.must(err)
			wants("it is cancelled", time.Time{}, false)
		},
	},
	{
		"A1 each time of a schedule is one job, however many look for it at once",
		"twenty workers wake up for the same minute",
		func(f *fixture) {
			const times, racers = 5, 20
			c := f.open()
			c.schedule(sqlqueue.Schedule{Name: "race", Every: "1h"}, 0)
			clients := make([]*client, racers)
			for i := range clients {
				clients[i] = f.open()
			}
			for range times {
				c.late("race", time.Second)
				var wg sync.WaitGroup
				var pushed atomic.Int64
				for _, racer := range clients {
					wg.Go(func() {
						n, _, err := racer.RunSchedules(f.Context())
						if err != nil {
							f.Errorf("a race: %v", err)
						}
						pushed.Add(int64(n))
					})
				}
				wg.Wait()
				f.history.inserted(int(pushed.Load()))
				if pushed.Load() != 1 {
					f.Errorf("%d jobs were pushed for one time", pushed.Load())
				}
			}
			of, err := operator.New(c.Queue).Schedule(f.Context(), "race")
			f.must(err)
			if of.Runs != times || of.LastJobID == 0 || of.LastAt.IsZero() {
				f.Errorf("the schedule says %+v", of)
			}
			var payload sqlqueue.Payload
			f.must(json.Unmarshal(c.reserve(1, "race")[0].Payload, &payload))
			if payload.Job != "scheduled" || payload.Tick.IsZero() {
				f.Errorf("the job is %+v", payload)
			}
		},
	},
	{
		"A3 times that were missed are left out, made up for by the newest, or by all",
		"all workers were down for an hour",
		func(f *fixture) {
			c := f.open()
			const every, late = "1m", 59*time.Minute + 30*time.Second
			for missed, want := range map[sqlqueue.Missed]int{sqlqueue.SkipMissed: 0, sqlqueue.OneMissed: 1, sqlqueue.AllMissed: 60} {
				c.schedule(sqlqueue.Schedule{Name: string(missed), Every: every, Missed: missed}, late)
				if n := c.comes(); n != want {
					f.Errorf("%s: %d jobs, want %d", missed, n, want)
				}
				if n := c.comes(); n != 0 {
					f.Errorf("%s: %d jobs more", missed, n)
				}
				f.must(operator.New(c.Queue).RemoveSchedule(f.Context(), string(missed)))
			}
			c.schedule(sqlqueue.Schedule{Name: "bound", Every: every, Missed: sqlqueue.AllMissed, CatchUp: 9*time.Minute + 30*time.Second},
				late)
			if n := c.comes(); n != 10 {
				f.Errorf("%d jobs of the last ten minutes, want 10", n)
			}
			c.schedule(sqlqueue.Schedule{Name: "on time", Every: every, Missed: sqlqueue.SkipMissed}, time.Second)
			if n := c.comes(); n != 1 {
				f.Errorf("%d jobs of a time that is not missed, want 1", n)
			}
		},
	},
	{
		"A5 a paused schedule does not come, also when the program that has set it starts again",
		"an operator has paused it, and a deploy follows",
		func(f *fixture) {
			c := f.open()
			o := operator.New(c.Queue)
			c.schedule(sqlqueue.Schedule{Name: "night", Every: "1h"}, time.Second)
			f.must(o.PauseSchedule(f.Context(), "night"))
			again := sqlqueue.Schedule{Name: "night", Every: "2h", Job: sqlqueue.Named("other", nil)}
			f.must(c.Schedule(f.Context(), again))
			c.late("night", time.Second)
			if n := c.comes(); n != 0 {
				f.Errorf("%d jobs were pushed", n)
			}
			f.must(o.ResumeSchedule(f.Context(), "night"))
			of, err := o.Schedule(f.Context(), "night")
			f.must(err)
			now, err := o.Now(f.Context())
			f.must(err)
			if of.Paused || !of.NextAt.After(now) || of.Every != "2h" {
				f.Errorf("after the pause it is %+v", of)
			}
			before := of
			f.must(c.Schedule(f.Context(), again))
			if of, err = o.Schedule(f.Context(), "night"); err != nil || !of.NextAt.Equal(before.NextAt) ||
				!of.UpdatedAt.Equal(before.UpdatedAt) {
				f.Errorf("setting it again unchanged makes it %+v, %v", of, err)
			}
			again.Origin = "somebody"
			if err := c.Schedule(f.Context(), again); err == nil || !strings.Contains(err.Error(), `set by "code"`) {
				f.Errorf("somebody else sets it: %v", err)
			}
		},
	},
	{
		"A7 a schedule that does not overlap pushes nothing while its job is not done",
		"a report that takes longer than its interval",
		func(f *fixture) {
			c := f.open()
			c.schedule(sqlqueue.Schedule{Name: "slow", Every: "1h", NoOverlap: true}, time.Second)
			for _, want := range []int{1, 0, 0} {
				if n := c.comes(); n != want {
					f.Errorf("%d jobs, want %d", n, want)
				}
				c.late("slow", time.Second)
			}
			c.settle(done(c.reserve(1, "slow")[0]))
			if n := c.comes(); n != 1 {
				f.Errorf("%d jobs when the one before is done", n)
			}
			var duplicate *sqlqueue.DuplicateError
			if _, err := operator.New(c.Queue).RunSchedule(f.Context(), "slow"); !errors.As(err, &duplicate) {
				f.Errorf("run now: %v", err)
			}
		},
	},
	{
		"a schedule that another program has inserted comes, and one with a mistake is paused and stops no other",
		"rows are written by hand",
		func(f *fixture) {
			c := f.open()
			insert := func(name, cron string) {
				f.exec("INSERT INTO {job_schedules} (name, cron, payload) VALUES (?, ?, ?)", name, cron, `{"job":"theirs"}`)
			}
			insert("theirs", "@hourly")
			insert("wrong", "at noon")
			_, _, err := c.RunSchedules(f.Context())
			if err == nil || !strings.Contains(err.Error(), `"wrong" is paused`) {
				f.Errorf("a row with a mistake: %v", err)
			}
			o := operator.New(c.Queue)
			if of, err := o.Schedule(f.Context(), "wrong"); err != nil || !of.Paused {
				f.Errorf("the row with a mistake is %+v, %v", of, err)
			}
			if of, err := o.Schedule(f.Context(), "theirs"); err != nil || of.NextAt.IsZero() || of.Runs != 0 {
				f.Errorf("their row is %+v, %v", of, err)
			}
			c.late("theirs", time.Second)
			if n := c.comes(); n != 1 {
				f.Errorf("%d jobs of theirs", n)
			}
		},
	},
	{
		"a schedule comes if and only if its transaction commits",
		"the connection breaks before COMMIT",
		func(f *fixture) {
			c := f.open()
			c.schedule(sqlqueue.Schedule{Name: "cut", Every: "1h"}, time.Second)
			bound, tx := c.begin(f.db.Transactions[0])
			if n, _, err := bound.RunSchedules(f.Context()); err != nil || n != 1 {
				f.Errorf("in a transaction: %d, %v", n, err)
			}
			f.end(tx, false)
			if of, err := operator.New(c.Queue).Schedule(f.Context(), "cut"); err != nil || of.Runs != 0 {
				f.Errorf("after the rollback it is %+v, %v", of, err)
			}
			if n := c.comes(); n != 1 {
				f.Errorf("%d jobs after the rollback, want 1", n)
			}
		},
	},
}

package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var runErrorCases = []testCase{
	{
		"E6 runs that went wrong, by job, the newest first, a page at a time",
		"what fails now is seen long before the last try",
		func(f *fixture) {
			c := f.open()
			at := c.now().Truncate(time.Microsecond)
			worker := driver.Worker{ID: c.worker, Name: "mailer's 🎉", Queues: []string{"default"}}
			long := driver.RunError{
				JobID: 7, Queue: "mail's", Name: strings.Repeat("漢", driver.NameMost), Attempt: 3, Outcome: "released",
				Error: strings.Repeat("🎉", driver.ErrorMost),
				Stack: strings.Repeat("\\n🎉", driver.StackMost/3), Took: 1500 * time.Millisecond, At: at,
			}
			var errs []driver.RunError
			for i := range 120 { // more than one statement's
				errs = append(errs, driver.RunError{
					JobID: int64(i % 3), Queue: "q", Name: "n", Attempt: i, Outcome: "failed", Error: fmt.Sprint("no ", i), At: at,
				})
			}
			c.beat(driver.Beat{Worker: worker, Errors: append(errs, long)})
			o := operator.New(f.open().Queue)
			all, err := o.Errors(f.Context(), operator.ErrorFilter{Limit: 1000})
			f.must(err)
			if len(all) != 121 || !slices.IsSortedFunc(all, func(a, b operator.RunError) int { return int(b.ID - a.ID) }) {
				f.Fatalf("got %d errors", len(all))
			}
			want := operator.RunError{
				ID: all[0].ID, JobID: 7, Queue: "mail's", Name: long.Name,
				Attempt: 3, Outcome: "released", Error: long.Error, Stack: long.Stack,
				Worker: "mailer's 🎉", Took: long.Took, At: at,
			}
			if got := all[0]; !got.At.Equal(at) {
				f.Errorf("it ended at %v, want %v", got.At, at)
			}
			if all[0].At = at; all[0] != want {
				f.Errorf("got %+v, want %+v", all[0], want)
			}
			page, err := o.Errors(f.Context(), operator.ErrorFilter{JobID: 1, Limit: 3})
			f.must(err)
			next, err := o.Errors(f.Context(), operator.ErrorFilter{JobID: 1, Limit: 1000, Before: page[2].ID})
			f.must(err)
			if len(page) != 3 || page[0].Error != "no 118" || len(next) != 37 || next[0].Error != "no 109" {
				f.Errorf("got %+v, then %d: %+v", page, len(next), next)
			}
			for _, e := range append(page, next...) {
				if e.JobID != 1 {
					f.Errorf("got %+v", e)
				}
			}
		},
	},
	{
		"E6 runs that went wrong are grouped by like errors, with how many, since when and of how many jobs",
		"a hundred thousand errors are mostly three",
		func(f *fixture) {
			c := f.open()
			o := operator.New(c.Queue)
			now := c.now()
			told := func(job int64, outcome, text string, ago time.Duration) driver.RunError {
				return driver.RunError{JobID: job, Queue: "mail", Name: "send", Outcome: outcome, Error: text, At: now.Add(-ago)}
			}
			c.beat(driver.Beat{Errors: []driver.RunError{
				told(1, "failed", "too old", 3*time.Hour), told(1, "released", "no answer from 10.0.0.1", 50*time.Minute),
				told(2, "released", "no answer from 10.0.0.2", 10*time.Minute), told(2, "failed", "no answer from 10.0.0.7", time.Second),
				told(3, "discarded", "mail's 🎉", time.Minute),
			}})
			groups, err := o.ErrorGroups(f.Context(), time.Hour, 1000)
			f.must(err)
			if len(groups) != 2 {
				f.Fatalf("got %+v", groups)
			}
			g := groups[0]
			if g.Error != "no answer from *" || g.Queue != "mail" || g.Name != "send" || g.Runs != 3 || g.Jobs != 2 || g.Ended != 1 ||
				g.JobID != 2 || g.Trend[len(g.Trend)-1] != 1 || !g.First.Before(g.Last) {
				f.Errorf("got %+v", g)
			}
			if groups[1].Error != "mail's 🎉" || groups[1].Ended != 1 {
				f.Errorf("got %+v", groups[1])
			}
			if newest, err := o.ErrorGroups(f.Context(), time.Hour, 1); err != nil || len(newest) != 1 || newest[0].Runs != 1 {
				f.Errorf("of the newest one: %+v, %v", newest, err)
			}
			e, err := o.RunError(f.Context(), g.ID)
			if f.must(err); e.Error != "no answer from 10.0.0.7" {
				f.Errorf("got %+v", e)
			}
			if _, err := o.RunError(f.Context(), g.ID+1000); !errors.Is(err, operator.ErrNotFound) {
				f.Errorf("of an unknown one: %v", err)
			}
		},
	},
	{
		"E6 old errors of runs are deleted by their age and by their number, and only these",
		"a table that grows for ever becomes slow",
		func(f *fixture) {
			c := f.open()
			now := c.now()
			tell := func(n int, ago time.Duration) {
				errs := slices.Repeat([]driver.RunError{{JobID: 1, Queue: "q", Name: "n", Outcome: "failed", At: now.Add(-ago)}}, n)
				c.beat(driver.Beat{Errors: errs})
			}
			rows := func() int { return f.count("SELECT count(*) FROM {job_errors}") }
			tell(1100, 8*24*time.Hour)
			tell(5, 6*24*time.Hour)
			if n := rows(); n != 1105 {
				f.Errorf("there are %d errors, want 1105: nobody wanted any deleted", n)
			}
			f.eventually("the old errors are gone", func() bool {
				c.beat(driver.Beat{OldErrors: operator.ErrorsKept, MostErrors: operator.ErrorsMost})
				return rows() <= 5
			})
			c.beat(driver.Beat{OldErrors: operator.ErrorsKept, MostErrors: operator.ErrorsMost})
			if n := rows(); n != 5 {
				f.Errorf("there are %d errors left, want 5", n)
			}
			tell(20, 0)
			f.eventually("all but the newest ten are gone", func() bool {
				c.beat(driver.Beat{MostErrors: 10})
				return rows() <= 10
			})
			if n := f.count("SELECT count(*) FROM {job_errors} WHERE job_id = 1"); n == 0 {
				f.Error("the newest are gone too")
			}
		},
	},
	{
		"E7 a worker tells how it is",
		"what runs now, and since when, is the first question of who sees a worker that gets nothing done",
		func(f *fixture) {
			c := f.open()
			since := c.now().UTC().Truncate(time.Microsecond)
			w := driver.Worker{
				ID: c.worker, Name: "w", Queues: []string{"default"},
				Concurrency: 3, Version: "v1.2.3", Status: "paused", Busy: 2, Memory: 1 << 40,
				Running: []driver.Running{
					{ID: 5, Name: "send's 🎉 <b>", Queue: "mail", Since: since}, {ID: 1 << 60, Name: "", Queue: "sms", Since: since},
				},
			}
			of := func() operator.Worker {
				workers, err := operator.New(c.Queue).Workers(f.Context())
				f.must(err)
				if len(workers) != 1 {
					f.Fatalf("got %+v", workers)
				}
				return workers[0]
			}
			for range 2 { // inserted, then changed
				c.beat(driver.Beat{Worker: w})
				got := of()
				if got.Version != w.Version || got.Status != w.Status || got.Busy != w.Busy || got.Memory != w.Memory ||
					!slices.Equal(got.Running, w.Running) {
					f.Errorf("got %+v, want %+v", got, w)
				}
				w.Version, w.Status, w.Busy, w.Memory, w.Running = "", "running", 0, 0, nil
			}
			f.exec("UPDATE {job_workers} SET running = '[{'")
			if got := of(); got.Running == nil || len(got.Running) != 0 {
				f.Errorf("of what is no JSON it reads %+v", got.Running)
			}
		},
	},
	{
		"E6 an older program's statements go on with the newer columns",
		"a migration is made while the programs of yesterday still work",
		func(f *fixture) {
			c := f.open()
			f.exec("INSERT INTO {job_workers} (id, name, host, pid, queues, concurrency, started_at, seen_at) "+
				"SELECT 'old', 'old', 'h', 1, 'default', 1, available_at, available_at FROM {jobs} WHERE id = ?", f.oldJob(c))
			workers, err := operator.New(c.Queue).Workers(f.Context())
			f.must(err)
			if len(workers) != 1 || workers[0].Status != "" || workers[0].Busy != 0 || len(workers[0].Running) != 0 {
				f.Errorf("got %+v", workers)
			}
		},
	},
}

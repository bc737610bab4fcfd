package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var operationCases = []testCase{
	{
		"E8 each change of a known operator is written down, and nobody else's",
		"who cancelled these jobs is asked weeks later",
		func(f *fixture) {
			c := f.open()
			o := operator.New(c.Queue)
			as := o.As("alice's 🎉", "test")
			ctx := f.Context()
			ids := c.pushMany(5, sqlqueue.OnQueue("mail"))
			f.failOne(c, "broken", "sms")
			f.failOne(c, "broken", "sms")
			c.beat(driver.Beat{})
			_, err := o.Cancel(ctx, ids[0])
			f.must(err)
			priority := 5
			reserved := c.reserve(1, "mail")[0]
			for _, change := range []func() error{
				func() error { _, err := as.Cancel(ctx, ids[2], ids[3]); return err },
				func() error { return as.Edit(ctx, ids[4], operator.JobEdit{Priority: &priority, Data: "a secret"}) },
				func() error { _, err := as.Release(ctx, reserved.ID); return err },
				func() error {
					_, err := as.Retry(ctx, operator.FailedFilter{IDs: []int64{c.failedJobs()[0].ID}})
					return err
				},
				func() error {
					_, err := as.Forget(ctx, operator.FailedFilter{Queue: "sms", Name: "broken"})
					return err
				},
				func() error { return as.Control(ctx, "mail", operator.ControlChange{Pause: true, PauseFor: time.Hour}) },
				func() error { return as.SetConcurrency(ctx, c.worker, 7) },
				func() error {
					return as.Subscribe(ctx, operator.Subscription{
						Name: "s", Queue: "web", URL: "https://user:secret@example.com", Secret: "secret",
					})
				},
				func() error { return as.Unsubscribe(ctx, "s") },
				func() error {
					_, err := as.CancelAll(ctx, operator.JobFilter{Queue: "mail", OlderThan: time.Hour})
					return err
				}, // none
				func() error { _, err := as.Clear(ctx, "", true); return err },
			} {
				f.must(change())
			}
			if _, err := as.Cancel(ctx, ids[0]); !errors.Is(err, operator.ErrNotFound) {
				f.Errorf("got %v", err)
			}
			got, err := o.Operations(ctx, operator.OperationFilter{})
			f.must(err)
			want := []operator.Operation{
				{Action: "cancel", Affected: 3, Target: "{}"},
				{Action: "unsubscribe", Affected: 1, Target: `{"name":"s"}`},
				{Action: "subscribe", Queue: "web", Affected: 1, Target: `{"name":"s"}`},
				{Action: "set concurrency", Affected: 1, Target: `{"concurrency":7,"worker":"` + c.worker + `"}`},
				{Action: "control", Queue: "mail", Affected: 1, Target: `{"for":"1h0m0s","pause":true}`},
				{Action: "forget", Queue: "sms", Affected: 1, Target: `{"name":"broken"}`},
				{Action: "retry", Affected: 1},
				{Action: "release", Affected: 1},
				{Action: "edit", Affected: 1},
				{Action: "cancel", Affected: 2},
			}
			if len(got) != len(want) {
				f.Fatalf("got %+v", got)
			}
			for i, w := range want {
				g := got[i]
				if g.Action != w.Action || g.Queue != w.Queue || g.Affected != w.Affected || w.Target != "" && g.Target != w.Target ||
					g.Who != "alice's 🎉" || g.Via != "test" || g.Note != "" {
					f.Errorf("got %+v, want %+v", g, w)
				}
				if strings.Contains(g.Target, "secret") {
					f.Errorf("the operation tells a secret: %+v", g)
				}
				f.between("at", g.At, c.now().Add(-time.Hour), c.now())
			}
			page, err := o.Operations(ctx, operator.OperationFilter{Before: got[1].ID, Limit: 2})
			f.must(err)
			if len(page) != 2 || page[0] != got[2] || page[1] != got[3] {
				f.Errorf("the page is %+v", page)
			}
		},
	},
	{
		"E8 an operation is written whole with its change, or not at all",
		"a log that tells of what never happened is worse than none",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			as := operator.New(c.Queue).As("alice", "test")
			back := f.rename("job_operations")
			_, err := as.Cancel(f.Context(), id)
			back()
			if !errors.Is(err, sqlqueue.ErrNotMigrated) {
				f.Fatalf("got %v, want ErrNotMigrated", err)
			}
			c.job(id) // is there
		},
	},
	{
		"E8 an operation in a caller's transaction is there when that is committed, and only then",
		"a log that tells of what was rolled back is worse than none",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			id := c.push()
			for _, commit := range []bool{false, true} {
				bound, tx := c.begin(way)
				_, err := operator.New(bound.Queue).As("bob", "test").Cancel(f.Context(), id)
				f.must(err)
				f.end(tx, commit)
				n := f.count("SELECT count(*) FROM {job_operations}")
				if want := map[bool]int{true: 1}[commit]; n != want {
					f.Errorf("committed %v: %d operations, want %d", commit, n, want)
				}
			}
		}),
	},
	{
		"E8 what an operator pushes, schedules and batches is recorded in its transaction, without data",
		"of what people change by hand, one half was in the list and the other was not",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			ctx := f.Context()
			secret := map[string]string{"token": "a secret"}
			f.must(c.Schedule(ctx, sqlqueue.Schedule{Name: "old", Every: "1 hour", Job: sqlqueue.Named("tick", secret)}))
			c.push(sqlqueue.Unique("held"))
			for _, commit := range []bool{false, true} {
				bound, tx := c.begin(way)
				o := operator.New(bound.Queue).As("ann", "test")
				q := o.Queue()
				_, err := q.PushMany(ctx, []sqlqueue.Pushable{
					sqlqueue.Named("mail", secret), sqlqueue.Named("mail", secret),
				}, sqlqueue.OnQueue("m"))
				f.must(err)
				_, err = q.Push(ctx, sqlqueue.Named("a", secret), sqlqueue.Unique("held"))
				if !errors.As(err, new(*sqlqueue.DuplicateError)) {
					f.Errorf("got %v", err)
				}
				report := sqlqueue.Schedule{
					Name: "report", Cron: "@daily", Job: sqlqueue.With(sqlqueue.Named("r", secret), sqlqueue.OnQueue("m")),
				}
				f.must(q.Schedule(ctx, report))
				f.must(q.Schedule(ctx, report)) // as it was
				_, err = o.RunSchedule(ctx, "old")
				f.must(err)
				batch := q.Batch("import")
				_, err = batch.Push(ctx, sqlqueue.Named("row", secret))
				f.must(err)
				_, err = batch.Seal(ctx)
				f.must(err)
				f.end(tx, commit)
				got, err := operator.New(c.Queue).Operations(ctx, operator.OperationFilter{})
				f.must(err)
				var said []string
				for _, g := range got {
					said = append(said, fmt.Sprintf("%s %d %s", g.Action, g.Affected, g.Target))
					if g.Who != "ann" || g.Via != "test" || strings.Contains(g.Target, "secret") {
						f.Errorf("got %+v", g)
					}
				}
				if !commit {
					if said != nil {
						f.Errorf("after a rollback: %q", said)
					}
					continue
				}
				f.history.inserted(4)
				for i, want := range []string{
					"seal batch 1 {", `push 1 {"batch":`, "create batch 1 {", `run schedule 1 {"name":"old"}`,
					`set schedule 1 {"cron":"@daily","job":"r","name":"report","zone":"UTC"}`, `push 2 {"ids":[`,
				} {
					if i >= len(said) || !strings.HasPrefix(said[i], want) {
						f.Fatalf("got %q, want %q as number %d", said, want, i)
					}
				}
				if len(said) != 6 || got[5].Queue != "m" || !strings.Contains(got[5].Target, `"name":"mail"`) || got[4].Queue != "m" {
					f.Errorf("got %+v", got)
				}
			}
		}),
	},
	{
		"E8 what was cancelled comes back as it was, once",
		"a filter was too wide, and nobody could say which jobs were gone",
		func(f *fixture) {
			ctx := f.Context()
			c := f.open()
			later := c.now().Add(time.Hour).Truncate(time.Microsecond)
			id := c.push(sqlqueue.OnQueue("mail"), sqlqueue.At(later), sqlqueue.Priority(-3), sqlqueue.Unique("k"),
				sqlqueue.UniqueUntilStarted())
			plain := c.pushMany(3, sqlqueue.OnQueue("mail"))
			before := c.job(id)
			o := operator.New(c.Queue).As("ann", "test")
			n, err := o.Undoable("ONE").CancelAll(ctx, operator.JobFilter{Queue: "mail"})
			f.must(err)
			if n != 4 {
				f.Fatalf("%d were cancelled", n)
			}
			counted, err := o.CountCancelled(ctx, "ONE")
			f.must(err)
			if counted != 4 {
				f.Errorf("%d can be restored", counted)
			}
			holder := c.push(sqlqueue.OnQueue("mail"), sqlqueue.Unique("k"))
			n, err = o.Restore(ctx, "ONE")
			var duplicate *sqlqueue.DuplicateError
			if n != 3 || !errors.As(err, &duplicate) || duplicate.Duplicates[0].Holder != holder {
				f.Errorf("restored %d, %v", n, err)
			}
			f.history.inserted(3)
			_, err = o.Undoable("TWO").Cancel(ctx, holder)
			f.must(err)
			n, err = o.Restore(ctx, "ONE")
			f.must(err)
			f.history.inserted(1)
			jobs, err := o.Jobs(ctx, operator.JobFilter{Queue: "mail", Limit: 10})
			f.must(err)
			if n != 1 || len(jobs) != 4 {
				f.Fatalf("restored %d, and there are %d", n, len(jobs))
			}
			after := jobs[3]
			if after.ID <= plain[2] {
				f.Errorf("the job has the id %d again", after.ID)
			}
			if after.ID = before.ID; fmt.Sprintf("%+v", after) != fmt.Sprintf("%+v", before) {
				f.Errorf("the job is\n%+v, was\n%+v", after, before)
			}
			if got := c.take(3, "mail"); len(got) != 3 {
				f.Errorf("%d jobs run", len(got))
			}
			if _, err := o.Restore(ctx, "ONE"); !errors.Is(err, operator.ErrNotFound) {
				f.Errorf("a second time: %v", err)
			}
			if _, err := o.Restore(ctx, "x y"); err == nil || errors.Is(err, operator.ErrNotFound) {
				f.Errorf("got %v", err)
			}
			f.exec("UPDATE {job_cancelled} SET cancelled_at = (SELECT available_at FROM {jobs} WHERE id = ?)", f.oldJob(c))
			c.beat(driver.Beat{OldCounts: time.Hour})
			if n := f.count("SELECT count(*) FROM {job_cancelled}"); n != 0 {
				f.Errorf("%d rows are kept for ever", n)
			}
		},
	},
	{
		"E8 operations are cut to what the table keeps, and old ones are deleted",
		"a log that grows for ever becomes slow",
		func(f *fixture) {
			c := f.open()
			long := strings.Repeat("漢\x00\xff", 3000)
			as := operator.New(c.Queue).As(long, long)
			f.must(as.Control(f.Context(), "a", operator.ControlChange{Pause: true}))
			f.exec("UPDATE {job_operations} SET at = (SELECT available_at FROM {jobs} WHERE id = ?)", f.oldJob(c))
			_, err := as.Cancel(f.Context(), c.pushMany(900)...)
			f.must(err)
			got, err := as.Operations(f.Context(), operator.OperationFilter{})
			f.must(err)
			if len(got) != 1 || utf8.RuneCountInString(got[0].Who) != 191 || utf8.RuneCountInString(got[0].Target) != 2000 ||
				got[0].Affected != 900 {
				f.Errorf("got %+v", got)
			}
		},
	},
}

package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var countsCases = []testCase{
	{
		"E5 queues: each number is counted up to a limit, and is right below it",
		"millions of jobs must not make an operator wait, and a number that looks exact must be",
		func(f *fixture) {
			c := f.open()
			at := time.Date(2010, 1, 1, 0, 0, 0, 123456000, time.UTC)
			c.pushMany(4, sqlqueue.OnQueue("mail"), sqlqueue.Priority(-5))
			c.reserve(2, "mail")
			c.pushMany(3, sqlqueue.OnQueue("mail"))
			c.pushMany(2, sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Hour))
			c.pushMany(3, sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Hour), sqlqueue.Priority(7))
			c.push(sqlqueue.OnQueue("mail"), sqlqueue.Priority(7), sqlqueue.At(at)) // the oldest, in the last lane
			c.pushMany(3, sqlqueue.OnQueue("running"))
			c.reserve(3, "running")
			c.pushMany(3, sqlqueue.OnQueue("endless"))
			c.reserveFrom(2, fromFor(0, "endless"))
			c.pushMany(1, sqlqueue.OnQueue("endless alone"), sqlqueue.Priority(32767))
			c.reserveFrom(1, fromFor(0, "endless alone"))
			c.pushMany(2, sqlqueue.OnQueue("late"), sqlqueue.Priority(-32768), sqlqueue.Delay(time.Hour))
			for range 3 {
				f.failOne(c, "job", "broken")
			}
			f.failOne(c, "job", "mail")
			c.control("silent", operator.ControlChange{Pause: true})

			exact, err := operator.New(c.Queue).Queues(f.Context(), 0)
			f.must(err)
			if mail := exact[slices.IndexFunc(exact, func(i operator.QueueInfo) bool { return i.Queue == "mail" })]; len(exact) != 7 ||
				mail.Ready != 6 || mail.Delayed != 5 || mail.Reserved != 2 || mail.Failed != 1 || !mail.Oldest.Equal(at) ||
				mail.CountedTo != 0 {
				f.Fatalf("got %+v", exact)
			}
			for _, most := range []int64{1, 2, 3, 4, 5, 6, 7, 8, 1000} {
				got, err := operator.New(f.open().Queue).Queues(f.Context(), most)
				f.must(err)
				if len(got) != len(exact) {
					f.Fatalf("counted to %d: got %+v, want %+v", most, got, exact)
				}
				for i, want := range exact {
					for _, number := range []*int64{&want.Ready, &want.Delayed, &want.Reserved, &want.Failed} {
						*number = min(*number, most)
					}
					want.CountedTo = most
					if got[i] != want {
						f.Errorf("counted to %d: got %+v, want %+v", most, got[i], want)
					}
				}
			}
		},
	},
	{
		"E5 counts are added up over workers, and have the jobs that wait",
		"a trend of what the queues take in and get done",
		func(f *fixture) {
			c, other := f.open(), f.open()
			now := c.now().UTC()
			minute := func(ago int) time.Time { return now.Truncate(time.Minute).Add(time.Duration(-ago) * time.Minute) }
			type key struct {
				minute time.Time
				queue  string
			}
			want := map[key]driver.Count{}
			tell := func(by *client, counts ...driver.Count) {
				by.beat(driver.Beat{Counts: counts})
				for _, n := range counts {
					at := key{n.Minute, n.Queue}
					sum := want[at]
					want[at] = driver.Count{
						Minute: n.Minute, Queue: n.Queue,
						Pushed: sum.Pushed + n.Pushed, Done: sum.Done + n.Done,
						Failed: sum.Failed + n.Failed, Released: sum.Released + n.Released,
					}
				}
			}
			tell(c, driver.Count{Minute: minute(5), Queue: "mail", Pushed: 1, Done: 2, Failed: 3, Released: 4},
				driver.Count{Minute: minute(5), Queue: "sms's 🎉", Done: 1 << 40})
			tell(other, driver.Count{Minute: minute(5), Queue: "mail", Pushed: 10, Done: 20, Failed: 30, Released: 40},
				driver.Count{Minute: minute(4), Queue: "mail", Done: 7}, driver.Count{Minute: minute(5), Queue: "MAIL", Done: 1})
			var many []driver.Count
			for i := range 250 {
				many = append(many, driver.Count{Minute: minute(i / 10), Queue: fmt.Sprint("many", i%10), Failed: int64(i)})
			}
			tell(c, many...)
			tell(c, driver.Count{Minute: minute(0), Queue: "waits", Pushed: 5})
			tell(c, driver.Count{Minute: minute(90), Queue: "mail", Done: 1}, driver.Count{Minute: minute(91), Queue: "mail", Done: 1})

			c.pushMany(3, sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Hour))
			c.pushMany(2, sqlqueue.OnQueue("waits"))
			c.reserve(1, "waits")
			old := f.oldJob(c)
			f.exec("UPDATE {jobs} SET created_at = available_at WHERE id = ?", old)
			for _, j := range f.allJobs(c) {
				at := key{j.CreatedAt.UTC().Truncate(time.Minute), j.Queue}
				sum := want[at]
				sum.Minute, sum.Queue, sum.Pushed = at.minute, at.queue, sum.Pushed+1
				want[at] = sum
			}
			for _, since := range []time.Duration{
				now.Sub(minute(90)), now.Sub(minute(90)) - 20*time.Second, 2 * time.Hour, now.Sub(minute(5)),
				time.Minute + now.Sub(minute(0)), 24 * time.Hour,
			} {
				before := c.now()
				got, err := operator.New(f.open().Queue).Counts(f.Context(), since)
				f.must(err)
				f.between("now", got.Now, before, c.now())
				if !got.PushedSince.IsZero() {
					f.Errorf("the last %v: all were looked at, and pushes are told only since %v", since, got.PushedSince)
				}
				left := map[key]bool{}
				for at := range want {
					left[at] = !at.minute.Before(got.Now.Add(-since).Truncate(time.Minute))
				}
				for i, n := range got.Minutes {
					at := key{n.Minute, n.Queue}
					if want[at] != n || !left[at] {
						f.Errorf("the last %v: got %+v, want %+v: %v", since, n, want[at], left[at])
					}
					delete(left, at)
					if i > 0 &&
						(n.Minute.Before(got.Minutes[i-1].Minute) || n.Minute.Equal(got.Minutes[i-1].Minute) &&
							n.Queue <= got.Minutes[i-1].Queue) {
						f.Errorf("the last %v: %v of %s comes after %v of %s",
							since, n.Minute, n.Queue, got.Minutes[i-1].Minute, got.Minutes[i-1].Queue)
					}
				}
				for at, wanted := range left {
					if wanted {
						f.Errorf("the last %v: %+v is missing", since, want[at])
					}
				}
			}
		},
	},
	{
		"E5 counts in steps are the sums of their minutes, from the first minute on",
		"a chart of two days reads a thousand sums instead of a row for each minute of each queue",
		func(f *fixture) {
			c := f.open()
			now := c.now()
			for i := range 100 {
				n := int64(i)
				c.beat(driver.Beat{Counts: []driver.Count{{
					Minute: now.Add(-time.Duration(i) * time.Minute).Truncate(time.Minute), Queue: fmt.Sprint("q", i%3),
					Pushed: 1 + n, Done: 2 + n, Failed: 3 + n, Released: 4 + n,
				}}})
			}
			c.pushMany(3, sqlqueue.OnQueue("q1"))
			for _, step := range []time.Duration{7 * time.Minute, 30 * time.Minute, time.Hour} {
				const since = 90 * time.Minute
				got, err := operator.New(c.Queue).CountsBy(f.Context(), since, step, 100)
				f.must(err)
				var minutes operator.Counts
				for { // both of the same minute
					minutes, err = operator.New(c.Queue).CountsBy(f.Context(), since, time.Minute, 100)
					f.must(err)
					if minutes.Now.Truncate(time.Minute).Equal(got.Now.Truncate(time.Minute)) {
						break
					}
					got, err = operator.New(c.Queue).CountsBy(f.Context(), since, step, 100)
					f.must(err)
				}
				first := got.Now.Truncate(time.Minute).Add(-since)
				var want []operator.Count
				for _, m := range minutes.Minutes {
					m.Minute = first.Add(m.Minute.Sub(first).Truncate(step))
					i := slices.IndexFunc(want, func(w operator.Count) bool { return w.Minute.Equal(m.Minute) && w.Queue == m.Queue })
					if i < 0 {
						want = append(want, m)
						continue
					}
					w := &want[i]
					w.Pushed, w.Done, w.Failed, w.Released = w.Pushed+m.Pushed, w.Done+m.Done, w.Failed+m.Failed, w.Released+m.Released
				}
				slices.SortFunc(want, func(a, b operator.Count) int {
					return cmp.Or(a.Minute.Compare(b.Minute), cmp.Compare(a.Queue, b.Queue))
				})
				if !slices.Equal(got.Minutes, want) {
					f.Errorf("in steps of %v: got %+v, want %+v", step, got.Minutes, want)
				}
			}
			for _, step := range []time.Duration{0, -time.Hour, 90 * time.Second} {
				if _, err := operator.New(c.Queue).CountsBy(f.Context(), time.Hour, step, 0); err == nil {
					f.Errorf("steps of %v are accepted", step)
				}
			}
		},
	},
	{
		"E5 counts look at so many waiting jobs, the newest, and say since when the pushes are right",
		"a look at a hundred thousand jobs is quick, and what it leaves out must not look like silence",
		func(f *fixture) {
			c := f.open()
			f.exec("UPDATE {jobs} SET created_at = available_at WHERE id = ?", f.oldJob(c))
			var ids []int64
			for range 5 {
				ids = append(ids, c.push())
			}
			for most, since := range map[int]time.Time{3: c.job(ids[2]).CreatedAt, 6: {}, 100: {}} {
				got, err := operator.New(c.Queue).CountsBy(f.Context(), time.Hour, time.Minute, most)
				f.must(err)
				pushed := int64(0)
				for _, n := range got.Minutes {
					pushed += n.Pushed
				}
				if pushed != int64(min(most, 5)) || !got.PushedSince.Equal(since) {
					f.Errorf("of %d jobs: %d pushes since %v, want %d since %v", most, pushed, got.PushedSince, min(most, 5), since)
				}
			}
		},
	},
	{
		"E5 counts look at no more than 5,000 waiting jobs by themselves",
		"a page that asks every two seconds must not keep the server busy when many jobs wait",
		func(f *fixture) {
			f.long()
			c := f.open()
			c.pushMany(5001)
			got, err := operator.New(c.Queue).Counts(f.Context(), time.Hour)
			f.must(err)
			pushed := int64(0)
			for _, n := range got.Minutes {
				pushed += n.Pushed
			}
			if pushed != 5000 || got.PushedSince.IsZero() {
				f.Errorf("got %d pushes since %v, want 5000 and a time", pushed, got.PushedSince)
			}
		},
	},
	{
		"E5 old counts are deleted, and only these",
		"a table that grows for ever becomes slow",
		func(f *fixture) {
			c := f.open()
			const old, kept = 1100, 3
			now := c.now()
			var counts []driver.Count
			for i := range old + kept {
				ago := 49 * time.Hour
				if i < kept {
					ago = 47 * time.Hour
				}
				counts = append(counts, driver.Count{Minute: now.Add(-ago).Truncate(time.Minute), Queue: "mail", Done: 1})
			}
			c.beat(driver.Beat{Counts: counts})
			c.exchange(driver.Exchange{})
			if n := f.count("SELECT count(*) FROM {job_counts}"); n != old+kept {
				f.Errorf("there are %d counts, want %d: nobody wanted any deleted", n, old+kept)
			}
			f.eventually("the old counts are gone", func() bool {
				c.beat(driver.Beat{OldCounts: operator.CountsKept})
				return f.count("SELECT count(*) FROM {job_counts}") <= kept
			})
			c.beat(driver.Beat{OldCounts: operator.CountsKept})
			if n := f.count("SELECT count(*) FROM {job_counts}"); n != kept {
				f.Errorf("there are %d counts left, want %d", n, kept)
			}
		},
	},
	{
		"E5 a beat is written whole, or not at all",
		"a worker tells again what a beat that failed has not written, and must not tell it twice",
		func(f *fixture) {
			c := f.open()
			b := driver.Beat{Counts: []driver.Count{{Minute: c.now().Truncate(time.Minute), Queue: "default", Failed: 1}}}
			for _, table := range []string{"job_workers", "job_counts"} {
				back := f.rename(table)
				err := c.Beat(f.Context(), b)
				back()
				if !errors.Is(err, sqlqueue.ErrNotMigrated) {
					f.Fatalf("without %s: got %v, want ErrNotMigrated", table, err)
				}
				if n := f.count("SELECT count(*) FROM {job_counts}") + f.count("SELECT count(*) FROM {job_workers}"); n != 0 {
					f.Errorf("without %s: %d rows were written", table, n)
				}
			}
			c.beat(b)
			if n := f.count("SELECT sum(failed) FROM {job_counts}"); n != 1 {
				f.Errorf("the counts are %d, want 1", n)
			}
		},
	},
	{
		"E5 a beat does not wait for counts that are locked",
		"somebody's look at a table of figures must not stop the heartbeat of all",
		func(f *fixture) {
			if !f.hasRowLocks() {
				return
			}
			c := f.open()
			minute := c.now().Truncate(time.Minute)
			counts := func(ago time.Duration) []driver.Count {
				return []driver.Count{{Minute: minute.Add(-ago), Queue: "mail", Done: 1}, {Minute: minute.Add(-ago), Queue: "sms", Done: 1}}
			}
			c.beat(driver.Beat{Counts: slices.Concat(counts(0), counts(50*time.Hour))})
			release := f.lockSQL("SELECT count(*) FROM (SELECT id FROM {job_counts} WHERE queue = 'mail' FOR UPDATE) l")
			c.promptlyBeats(driver.Beat{Counts: slices.Concat(counts(0), counts(50*time.Hour)), OldCounts: operator.CountsKept})
			if n := f.count("SELECT count(*) FROM {job_counts} WHERE queue = 'mail'"); n < 3 {
				f.Errorf("there are %d counts, want 3 at least: two that are locked, and a new one", n)
			}
			if got, err := operator.New(c.Queue).Counts(f.Context(), time.Hour); err != nil || len(got.Minutes) == 0 {
				f.Errorf("counts: %+v, %v", got, err)
			}
			release()
			f.eventually("the old counts are gone", func() bool {
				c.beat(driver.Beat{OldCounts: operator.CountsKept})
				return f.count("SELECT count(*) FROM {job_counts}") == 4
			})
		},
	},
}

package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// upkeep does what a worker does once a minute, whether or not another one has done it in this minute.
func (c *client) upkeep() {
	c.f.Helper()
	d := c.database()
	err := d.Tx(c.f.Context(), func(db sqldb.DB) error {
		s := d.Statement("UPDATE %s SET minute = ", d.Table("job_upkeep"))
		s.Add("%s", s.Time(time.Unix(0, 0)))
		_, err := s.Exec(c.f.Context(), db)
		return err
	})
	if err = errors.Join(err, d.Upkeep(c.f.Context())); err != nil {
		c.f.Error(err)
	}
}

type namePair struct{ queue, name string }

// namesOf are the sums of all counts by name.
func (c *client) namesOf() map[namePair]driver.NameCount {
	c.f.Helper()
	sums := map[namePair]driver.NameCount{}
	c.f.must(c.database().EachName(c.f.Context(), time.Unix(0, 0), nil, nil, func(n *driver.NameCount) {
		sum := sums[namePair{n.Queue, n.Name}]
		sum.Add(n)
		sums[namePair{n.Queue, n.Name}] = sum
	}))
	return sums
}

// nameRows is how many rows of counts by name there are.
func (f *fixture) nameRows() int { return f.count("SELECT count(*) FROM {job_names}") }

var namesCases = []testCase{
	{
		"E5 counts by name are added up over workers, and stay the same while rows become fewer",
		"a month of percentiles must neither take a million rows nor lose a job",
		func(f *fixture) {
			clients := []*client{f.open(), f.open(), f.open(), f.open()}
			now := clients[0].now().UTC()
			pairs := []namePair{
				{"mail", "send"},
				{"mail", "SEND"},
				{"mail's", "it's 🎉 \u202e\"<b>"},
				{"default", strings.Repeat("漢", driver.NameMost)},
				{"", ""},
				{"/x", "a/b, c"},
			}
			ages := []time.Duration{
				0, time.Minute, 5 * time.Minute, 10 * time.Minute, 2 * time.Hour, 5 * time.Hour, 20 * time.Hour, 50 * time.Hour,
				70 * time.Hour, 20 * 24 * time.Hour,
			}
			random := rand.New(rand.NewPCG(5, 6))
			const beatsEach = 30
			want := map[namePair]driver.NameCount{}
			beats := make([][]driver.Beat, len(clients))
			for i := range clients {
				for range beatsEach {
					var b driver.Beat
					for _, age := range ages {
						p := pairs[random.IntN(len(pairs))]
						n := &driver.NameCount{
							Minute: now.Add(-age - time.Duration(random.IntN(90))*time.Second).Truncate(time.Minute),
							Queue:  p.queue, Name: p.name,
							Done: random.Int64N(9), Failed: random.Int64N(3), Released: random.Int64N(1 << 40),
						}
						for range random.IntN(20) {
							n.Run.Add(time.Duration(random.Int64N(1 << random.IntN(50))))
							n.Wait.Add(time.Duration(random.Int64N(1 << random.IntN(50))))
						}
						b.Names = append(b.Names, n)
						sum := want[p]
						sum.Add(n)
						want[p] = sum
					}
					beats[i] = append(beats[i], b)
				}
			}
			var working sync.WaitGroup
			for i, c := range clients {
				working.Go(func() {
					for j, b := range beats[i] {
						b.Worker = driver.Worker{ID: c.worker, Queues: []string{"default"}}
						if err := c.Beat(f.Context(), b); err != nil {
							f.Error(err)
						}
						if j == beatsEach/2 {
							c.upkeep()
						}
					}
				})
			}
			working.Wait()
			clients[0].upkeep()
			if sent, rows := len(clients)*beatsEach*len(ages), f.nameRows(); rows >= sent*3/4 {
				f.Errorf("of %d rows %d are left", sent, rows)
			}
			got := clients[2].namesOf()
			if len(got) != len(want) {
				f.Errorf("there are %d pairs, want %d", len(got), len(want))
			}
			for p, sum := range want {
				if got[p] != sum {
					f.Errorf("%q: got %d done, %d failed, %d released, %d runs and %d waits; want %d, %d, %d, %d and %d",
						p, got[p].Done, got[p].Failed,
						got[p].Released, runs(got[p]), waits(got[p]), sum.Done, sum.Failed, sum.Released, runs(sum), waits(sum))
				}
			}

			o := operator.New(f.open().Queue)
			all, err := o.Names(f.Context(), operator.NamesKept)
			f.must(err)
			if len(all.Names) != len(pairs) {
				f.Fatalf("got %d names, want %d", len(all.Names), len(pairs))
			}
			for _, n := range all.Names {
				sum := want[namePair{n.Queue, n.Name}]
				if n.Done != sum.Done || n.Failed != sum.Failed || n.Released != sum.Released {
					f.Errorf("got %+v, want %d, %d and %d", n, sum.Done, sum.Failed, sum.Released)
				}
				if p95 := sum.Run.Quantile(0.95).Round(time.Microsecond).Seconds(); n.Run.P95 != p95 {
					f.Errorf("%q: 95%% ran at most %v s, want %v", n.Name, n.Run.P95, p95)
				}
				parts, err := o.NameTrend(f.Context(), n.Queue, n.Name, operator.NamesKept)
				f.must(err)
				var done int64
				for i, p := range parts {
					if done += p.Done; i > 0 && !p.Begin.After(parts[i-1].Begin) {
						f.Errorf("%v comes after %v", p.Begin, parts[i-1].Begin)
					}
				}
				if len(parts) > 61 || done != sum.Done {
					f.Errorf("%q: %d done in %d parts, want %d", n.Name, done, len(parts), sum.Done)
				}
			}
			if few, err := o.Names(f.Context(), 90*time.Minute); err != nil || len(few.Names) == 0 ||
				few.Names[0].Runs() >= all.Names[0].Runs() {
				f.Errorf("of the last 90 minutes: %+v, %v", few, err)
			}
			for last, most := range map[time.Duration]time.Duration{
				operator.NamesKept: time.Hour, 5 * 24 * time.Hour: time.Hour, 40 * time.Hour: 10 * time.Minute,
			} {
				counts, err := o.Names(f.Context(), last)
				f.must(err)
				whole := counts.Begin.Add(counts.Step * time.Duration(len(counts.Names[0].Trend.Done)-1))
				if open := counts.Now.Sub(whole); open < 0 || open >= most {
					f.Errorf("of the last %v the part that is not over lasts %v, want less than %v", last, open, most)
				}
			}
			_, err = o.NameTrend(f.Context(), "a\x00", "\xff", time.Hour)
			f.must(err)
			_, err = o.Sizes(f.Context(), "\xff\x00", time.Hour)
			f.must(err)
			for _, wrong := range []time.Duration{0, -1, time.Second, operator.NamesKept + 1} {
				if _, err := o.Names(f.Context(), wrong); err == nil {
					f.Errorf("the last %v are accepted", wrong)
				}
			}
		},
	},
	{
		"E5 of too many names the ones with the most runs are kept, and no run is lost",
		"a program that puts ids into names must not fill the database",
		func(f *fixture) {
			c := f.open()
			minute := c.now().UTC().Add(-5 * time.Minute).Truncate(time.Minute)
			const most, more = driver.NamesMost, 70
			var b driver.Beat
			for i := range most + more {
				n := &driver.NameCount{Minute: minute, Queue: "q", Name: fmt.Sprint("send-", i), Done: 1 + int64(i)}
				n.Run.Add(time.Second)
				b.Names = append(b.Names, n)
			}
			c.beat(b)
			c.upkeep()
			got := c.namesOf()
			others := got[namePair{}]
			if want := int64(more+1) * (more + 2) / 2; len(got) != most || others.Done != want || runs(others) != more+1 {
				f.Errorf("there are %d names, and %d done of the others in %d runs; want %d, and %d in %d",
					len(got), others.Done, runs(others), most, want, more+1)
			}
			if _, ok := got[namePair{"q", fmt.Sprint("send-", most+more-1)}]; !ok {
				f.Error("the name with the most runs is among the others")
			}
		},
	},
	{
		"E5 counts by name are deleted after 30 days, and not before",
		"a table that grows for ever becomes slow",
		func(f *fixture) {
			c := f.open()
			now := c.now().UTC()
			at := func(age time.Duration) *driver.NameCount {
				return &driver.NameCount{Minute: now.Add(-age).Truncate(time.Minute), Queue: "q", Name: "n", Done: 1}
			}
			c.beat(driver.Beat{Names: []*driver.NameCount{at(29 * 24 * time.Hour), at(31 * 24 * time.Hour), at(400 * 24 * time.Hour)}})
			for range 3 {
				c.upkeep()
			}
			if n := f.nameRows(); n != 1 {
				f.Errorf("%d rows are left, want 1", n)
			}
		},
	},
	{
		"E5 rows of counts are merged, and the sums stay the same",
		"a fleet writes a million rows in two days, which every look would read",
		func(f *fixture) {
			c, other := f.open(), f.open()
			now := c.now().UTC()
			minute := func(ago int) time.Time { return now.Truncate(time.Minute).Add(time.Duration(-ago) * time.Minute) }
			sums := func() map[string]operator.Count {
				counts, err := operator.New(c.Queue).CountsBy(f.Context(), 24*time.Hour, time.Minute, 0)
				f.must(err)
				of := map[string]operator.Count{}
				for _, m := range counts.Minutes {
					of[m.Minute.String()+m.Queue] = m
				}
				return of
			}
			rows := func() int { return f.count("SELECT count(*) FROM {job_counts}") }
			write := func(by *client, n int) {
				for i := range n {
					var counts []driver.Count
					for j := range 60 {
						counts = append(counts, driver.Count{
							Minute: minute(j % 5), Queue: []string{"mail", "MAIL", "sms's 🎉"}[j%3],
							Pushed: int64(i), Done: int64(j), Failed: 1, Released: 1 << 40,
						})
					}
					by.beat(driver.Beat{Counts: counts})
				}
			}
			write(c, 40) // more than one transaction's
			before := sums()
			c.upkeep()
			if n := rows(); n > 3*15 || n < 15 {
				f.Errorf("2,400 rows of 15 minutes and queues became %d", n)
			}
			if got := sums(); !maps.Equal(got, before) || len(got) != 15 {
				f.Errorf("the sums became %v, want %v", got, before)
			}
			merged := rows()
			c.upkeep()
			if n := rows(); n != merged {
				f.Errorf("%d rows became %d, though nothing came", merged, n)
			}
			var working sync.WaitGroup
			for _, by := range []*client{c, other} {
				working.Go(func() { write(by, 10) })
				working.Go(by.upkeep)
			}
			working.Wait()
			before = sums()
			c.upkeep()
			if got := sums(); !maps.Equal(got, before) || rows() > merged+2*10*60/2 {
				f.Errorf("%d rows; the sums became %v, want %v", rows(), got, before)
			}
			f.exec("DELETE FROM {job_counts}")
			for range 3 { // SQLite's ids begin again
				write(c, 1)
				c.upkeep()
			}
			if n := rows(); n > 3*15 {
				f.Errorf("after the table was empty, %d rows are left", n)
			}
		},
	},
	{
		"E5 queues are measured once a minute, by their first level, whoever comes first",
		"the trend of the queues' sizes",
		func(f *fixture) {
			c := f.open()
			at := time.Date(2010, 1, 1, 0, 0, 0, 123456000, time.UTC)
			c.pushMany(3, sqlqueue.OnQueue("mail"), sqlqueue.Priority(5))
			c.reserve(1, "mail")
			c.push(sqlqueue.OnQueue("mail/42"), sqlqueue.At(at))
			c.pushMany(2, sqlqueue.OnQueue("mail/43/7"), sqlqueue.Delay(time.Hour))
			c.pushMany(2, sqlqueue.OnQueue("mail-x"))
			c.pushMany(1, sqlqueue.OnQueue("mail0"), sqlqueue.Delay(time.Hour))
			c.pushMany(2, sqlqueue.OnQueue("only/below"))
			c.reserve(1, "only/below")
			f.failOne(c, "job", "broken")
			f.failOne(c, "job", "broken/1")
			minute := c.now().UTC().Truncate(time.Minute)
			f.must(c.database().Upkeep(f.Context()))
			rows := f.count("SELECT count(*) FROM {job_sizes}")
			f.must(f.open().database().Upkeep(f.Context()))
			if again := f.count("SELECT count(*) FROM {job_sizes}"); again != rows && c.now().Truncate(time.Minute).Equal(minute) {
				f.Errorf("%d rows are written by the first, and %d more by the second", rows, again-rows)
			}
			o := operator.New(f.open().Queue)
			last := func(queue string) operator.SizePart {
				parts, err := o.Sizes(f.Context(), queue, time.Hour)
				f.must(err)
				if len(parts) < 60 || len(parts) > 61 {
					f.Errorf("%s has %d parts", queue, len(parts))
				}
				i := slices.IndexFunc(parts, func(p operator.SizePart) bool { return p.Measured })
				if i < 0 {
					f.Fatal("nothing is measured")
				}
				return parts[i]
			}
			for queue, want := range map[string]operator.SizePart{
				"mail":    {Ready: 3, Delayed: 2, Reserved: 1},
				"mail-x":  {Ready: 2},
				"mail0":   {Delayed: 1},
				"only":    {Ready: 1, Reserved: 1},
				"broken":  {Failed: 2},
				"unknown": {},
				"":        {Ready: 6, Delayed: 3, Reserved: 2, Failed: 2},
			} {
				got := last(queue)
				if (queue == "mail" || queue == "") != (got.OldestMS > time.Since(at).Milliseconds()-600_000) {
					f.Errorf("the oldest of %q is %d ms old", queue, got.OldestMS)
				}
				if want.Begin, want.Measured, want.OldestMS = got.Begin, true, got.OldestMS; got != want {
					f.Errorf("%q: got %+v, want %+v", queue, got, want)
				}
			}
		},
	},
	{
		"E5 of older hours the greatest sizes are kept, for 30 days",
		"a peak that lasted a minute must still be seen a week later",
		func(f *fixture) {
			c := f.open()
			c.push(sqlqueue.OnQueue("mail"))
			d := c.database()
			hour := c.now().UTC().Truncate(time.Hour).Add(-60 * time.Hour)
			write := func(at time.Time, queue string, ready, oldest int) {
				s := d.Statement("INSERT INTO %s (step, minute, queue, ready, not_due, reserved, failed, oldest_ms) VALUES (1, ",
					d.Table("job_sizes"))
				s.Add("%s, %s, %d, 1, 2, 3, %d)", s.Time(at), s.Arg(queue), ready, oldest)
				_, err := s.Exec(f.Context(), d.DB)
				f.must(err)
			}
			for i := range 180 {
				at := hour.Add(time.Duration(i) * time.Minute)
				write(at, "", i, i)
				write(at, "mail", i%60, 100-i%60)
			}
			for _, days := range []int{31, 32, 500} {
				write(hour.Add(-time.Duration(days)*24*time.Hour), "", 9, 9)
			}
			c.upkeep()
			c.upkeep()
			if n := f.count("SELECT count(*) FROM {job_sizes} WHERE step = 60"); n != 6 {
				f.Errorf("there are %d rows of hours, want 6", n)
			}
			if n := f.count("SELECT count(*) FROM {job_sizes} WHERE step = 1 AND ready > 1"); n != 0 {
				f.Errorf("%d rows of old minutes are left", n)
			}
			parts, err := operator.New(c.Queue).Sizes(f.Context(), "mail", 7*24*time.Hour)
			f.must(err)
			var seen int
			for _, p := range parts {
				if p.Ready == 59 && p.OldestMS == 100 && p.Delayed == 1 && p.Failed == 3 {
					seen++
				}
			}
			if seen < 1 || len(parts) > 61 {
				f.Errorf("the peak is in %d of %d parts: %+v", seen, len(parts), parts)
			}
		},
	},
}

func runs(n driver.NameCount) uint64 { return n.Run.Count() }

func waits(n driver.NameCount) uint64 { return n.Wait.Count() }

package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var uniqueModeCases = []testCase{
	{
		"a key until started is held while its job waits, and free from its reservation on",
		"what changes while a job runs needs another run",
		func(f *fixture) {
			c := f.open()
			push := func() (sqlqueue.Pushed, error) {
				return c.TryPush(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("key"), sqlqueue.UniqueUntilStarted())
			}
			first := f.pushed(push())
			again, err := push()
			f.must(err)
			if !again.Duplicate || again.ID != first {
				f.Errorf("while it waits: %+v, want a duplicate of %d", again, first)
			}
			j := c.reserve(1, "default")[0]
			if j.UniqueKey != "" || c.job(first).UniqueKey != "" {
				f.Errorf("the reserved job still has its key: %+v", j)
			}
			second := f.pushed(push())
			c.settle(putBack(j, time.Hour)) // without its key, which is another's now
			if again, err := push(); err != nil || again.ID != second || !again.Duplicate {
				f.Errorf("after the release: %+v, %v", again, err)
			}
			expired := c.reserveFrom(1, fromFor(brief, "default"))[0]
			third := f.pushed(push())
			c.expire(expired)
			if jobs := f.allJobs(c); len(jobs) != 3 || c.job(second).UniqueKey != "" || c.job(third).UniqueKey != "key" {
				f.Errorf("jobs %+v", jobs)
			}
		},
	},
	{
		"keys until started and until done, and jobs without a key, are reserved together",
		"one exchange takes them all",
		func(f *fixture) {
			c := f.open()
			done := c.push(sqlqueue.Unique("done"))
			started := c.push(sqlqueue.Unique("started"), sqlqueue.UniqueUntilStarted())
			plain := c.push()
			f.sameIDs(c.reserve(3, "default"), done, started, plain)
			if c.job(done).UniqueKey != "done" || c.job(started).UniqueKey != "" {
				f.Errorf("jobs %+v", f.allJobs(c))
			}
		},
	},
	{
		"jobs until started whose payloads do not fit keep their keys",
		"a job that is left waits on, and so must its key hold",
		func(f *fixture) {
			c := f.open()
			for i := range 3 {
				c.push(sqlqueue.Unique(fmt.Sprint(i)), sqlqueue.UniqueUntilStarted())
			}
			got := c.exchange(driver.Exchange{Limit: 3, Bytes: 1, Reserve: from("default")}).Reserved
			if n := f.count("SELECT count(*) FROM {jobs} WHERE unique_key IS NOT NULL"); len(got) != 1 || n != 2 {
				f.Errorf("reserved %d, and %d have their key; want 1 and 2", len(got), n)
			}
		},
	},
	{
		"a plain INSERT says with unique_until that a key holds until started",
		"programs in other languages push with an INSERT",
		func(f *fixture) {
			c := f.open()
			f.exec("INSERT INTO {jobs} (queue, payload, unique_key, unique_until) VALUES ('default', '{\"job\":\"a\"}', 'key', 1)")
			f.inserted()
			f.exec("INSERT INTO {jobs} (queue, payload, unique_key) VALUES ('default', '{\"job\":\"a\"}', 'other')")
			f.inserted()
			c.reserve(2, "default")
			if n := f.count("SELECT count(*) FROM {jobs} WHERE unique_key = 'other'"); n != 1 {
				f.Errorf("%d jobs have the key until done, want 1", n)
			}
			if n := f.count("SELECT count(*) FROM {jobs} WHERE unique_key = 'key'"); n != 0 {
				f.Errorf("%d jobs have the key until started, want 0", n)
			}
		},
	},
	{
		"replace gives the job that waits payload, priority and time, and a running job a successor",
		"the last that was asked for counts, and what comes while it runs is not lost",
		func(f *fixture) {
			c := f.open()
			replace := func(data any, options ...sqlqueue.PushOption) int64 {
				f.Helper()
				return f.pushed(
					c.TryPush(f.Context(), sqlqueue.Named("job", data), append(options, sqlqueue.Unique("key"), sqlqueue.Replace())...),
				)
			}
			first := replace(1, sqlqueue.Delay(time.Hour))
			if id := replace(2, sqlqueue.Delay(3*time.Hour), sqlqueue.Priority(7)); id != first {
				f.Errorf("replaced %d, got id %d", first, id)
			}
			j := c.job(first)
			f.samePayload(j.Payload, `{"job":"job","data":2}`)
			f.between("available", j.AvailableAt, c.now().Add(2*time.Hour), c.now().Add(3*time.Hour))
			if j.Priority != 7 {
				f.Errorf("priority %d, want 7", j.Priority)
			}
			replace(3)
			if got := c.job(first); got.AvailableAt.After(c.now()) {
				f.Errorf("a push for now left it delayed: %+v", got)
			}
			due := c.job(first).AvailableAt
			replace(4)
			if got := c.job(first).AvailableAt; !got.Equal(due) {
				f.Errorf("a job that is due lost its place: %v, then %v", due, got)
			}
			running := c.reserve(1, "default")[0]
			f.samePayload(running.Payload, `{"job":"job","data":4}`)
			second := replace(5)
			f.samePayload(c.job(first).Payload, `{"job":"job","data":4}`)
			f.samePayload(c.job(second).Payload, `{"job":"job","data":5}`)
			c.settle(done(running))
			f.sameIDs(c.reserve(1, "default"), second)
		},
	},
	{
		"replace of a running job that keeps its key is a duplicate",
		"the job was promised the key until it is done",
		func(f *fixture) {
			c := f.open()
			id := c.push(sqlqueue.Unique("key"))
			c.reserve(1, "default")
			before := f.dump()
			_, err := c.Push(f.Context(), sqlqueue.Named("job", 2), sqlqueue.Unique("key"), sqlqueue.Replace())
			f.duplicate(err, sqlqueue.Duplicate{Queue: "default", Key: "key", Holder: id})
			f.unchanged(before)
		},
	},
	{
		"replace twice in one call: the last counts",
		"a batch is of whatever gathered",
		func(f *fixture) {
			c := f.open()
			held := c.push(sqlqueue.Unique("b"), sqlqueue.Delay(time.Hour))
			var jobs []sqlqueue.Pushable
			for i, key := range []string{"b", "a", "b", "a"} {
				jobs = append(jobs, sqlqueue.With(sqlqueue.Named("job", i), sqlqueue.Unique(key), sqlqueue.Replace()))
			}
			jobs = append(jobs, sqlqueue.Named("plain", nil))
			got, err := c.TryPushMany(f.Context(), jobs)
			f.must(err)
			if len(got) != 5 || got[0].ID != held || got[2].ID != held || got[1].ID != got[3].ID || got[0].Duplicate || got[3].Duplicate {
				f.Fatalf("got %+v", got)
			}
			f.samePayload(c.job(held).Payload, `{"job":"job","data":2}`)
			f.samePayload(c.job(got[1].ID).Payload, `{"job":"job","data":3}`)
			if n := len(f.allJobs(c)); n != 3 {
				f.Errorf("%d jobs, want 3", n)
			}
		},
	},
	{
		"a replace that a unique index of the application's own refuses is an error, and changes no other job",
		"a statement that takes any index for the key would overwrite another's job",
		func(f *fixture) {
			c := f.open()
			c.push(sqlqueue.OnQueue("taken"), sqlqueue.Priority(1))
			f.exec("CREATE UNIQUE INDEX theirs ON {jobs} (queue, priority)")
			defer f.dropIndex("theirs", "jobs")
			before := f.dump()
			_, err := c.Push(f.Context(), sqlqueue.Named("job", 2), sqlqueue.OnQueue("taken"), sqlqueue.Priority(1), sqlqueue.Unique("key"),
				sqlqueue.Replace())
			var duplicate *sqlqueue.DuplicateError
			if err == nil || errors.As(err, &duplicate) {
				f.Errorf("got %v, want the database's error", err)
			}
			f.unchanged(before)
		},
	},
	{
		"replace of a job that is just being reserved waits for that, and makes another job",
		"the push must neither be lost in a job that has read its payload, nor change what runs",
		func(f *fixture) {
			if !f.hasRowLocks() {
				return
			}
			c := f.open()
			first := c.push(sqlqueue.Unique("key"), sqlqueue.Replace())
			reserving, err := f.db.SQL.BeginTx(f.Context(), nil)
			f.must(err)
			defer func() { _ = reserving.Rollback() }()
			_, err = reserving.ExecContext(f.Context(),
				f.sql(fmt.Sprintf("UPDATE {jobs} SET priority = 1, unique_key = NULL WHERE id = %d", first)))
			f.must(err)
			answer := make(chan error, 1)
			var second int64
			go func() {
				var err error
				second, err = c.Push(f.Context(), sqlqueue.Named("job", 2), sqlqueue.Unique("key"), sqlqueue.Replace())
				answer <- err
			}()
			select {
			case err := <-answer:
				f.Errorf("the push did not wait: %v", err)
			case <-time.After(10 * interval): // passes also where the push has not come so far
				f.must(reserving.Commit())
				f.must(<-answer)
			}
			if held := c.job(first); second == first {
				f.Errorf("the push changed the job that was locked: %+v", held)
			}
			f.samePayload(c.job(second).Payload, `{"job":"job","data":2}`)
		},
	},
	{
		"debounce waits for quiet, within the bound, and not again once the job is due",
		"under pushes without end the job must run too",
		func(f *fixture) {
			c := f.open()
			debounce := func(data any, quiet, most time.Duration) int64 {
				f.Helper()
				return f.pushed(c.TryPush(f.Context(), sqlqueue.Named("job", data), sqlqueue.Unique("key"), sqlqueue.Debounce(quiet, most)))
			}
			id := debounce(1, time.Hour, 2*time.Hour)
			f.between("first", c.job(id).AvailableAt, c.now().Add(time.Hour-patience), c.now().Add(time.Hour))
			debounce(2, 3*time.Hour, 0)
			f.between("without a bound", c.job(id).AvailableAt, c.now().Add(3*time.Hour-patience), c.now().Add(3*time.Hour))
			debounce(3, 2*time.Hour, 2*time.Hour)
			if j := c.job(id); j.AvailableAt.Sub(j.CreatedAt).Round(time.Second) != 2*time.Hour {
				f.Errorf("available %v after it was created, want the bound of 2 h", j.AvailableAt.Sub(j.CreatedAt))
			}
			debounce(4, time.Microsecond, 0)
			due := c.job(id).AvailableAt
			f.eventually("it is due", func() bool { return c.now().After(due) })
			debounce(5, time.Hour, 0)
			if got := c.job(id).AvailableAt; !got.Equal(due) {
				f.Errorf("a job that is due waits again: %v, then %v", due, got)
			}
			j := c.reserve(1, "default")[0]
			f.samePayload(j.Payload, `{"job":"job","data":5}`)
			if other := debounce(6, time.Hour, 0); other == id {
				f.Error("the running job was debounced")
			}
		},
	},
	{
		"C1 of pushes that are debounced while workers run, at most one waits, and a run starts after each",
		"that is what debouncing promises",
		func(f *fixture) {
			const clients, rounds = 4, 12
			worker := f.open()
			cs := make([]*client, clients)
			for i := range cs {
				cs[i] = f.open()
			}
			last := make([]int, clients) // what each has pushed last is in the data of some run
			var all sync.WaitGroup
			for i, c := range cs {
				all.Go(func() {
					for n := range rounds {
						job := sqlqueue.Named("job", []int{i, n})
						if _, err := c.Push(f.Context(), job, sqlqueue.Unique("key"),
							sqlqueue.Debounce(time.Millisecond, 5*time.Millisecond)); err != nil {
							f.Errorf("push: %v", err)
						}
						last[i] = n
					}
				})
			}
			ended := make(chan struct{})
			go func() { all.Wait(); close(ended) }()
			var newest string
			work := func() {
				for _, j := range worker.take(5, "default") {
					newest = string(j.Payload)
					f.eventually("no push has the row locked", func() bool {
						return len(worker.exchange(driver.Exchange{Settle: []driver.Settlement{done(j)}}).Locked) == 0
					})
				}
			}
			defer all.Wait()
			for running := true; running; {
				select {
				case <-ended:
					running = false
				default:
				}
				if n := f.count("SELECT count(*) FROM {jobs} WHERE unique_key IS NOT NULL"); n > 1 {
					f.Errorf("%d jobs wait", n)
				}
				work()
			}
			f.eventually("the last job runs", func() bool {
				work()
				return f.count("SELECT count(*) FROM {jobs}") == 0
			})
			found := false
			for i := range clients {
				found = found || newest == fmt.Sprintf(`{"job":"job","data":[%d,%d]}`, i, rounds-1)
			}
			if !found {
				f.Errorf("the last run had %s, which is not the last push of any client", newest)
			}
		},
	},
	{
		"C3 a key for a period is held also when its job is done, and free afterwards",
		"one mail a day means one mail, however fast it is sent",
		func(f *fixture) {
			c := f.open()
			push := func(period time.Duration) sqlqueue.Pushed {
				f.Helper()
				got, err := c.TryPush(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("key"), sqlqueue.UniqueFor(period))
				f.must(err)
				return got
			}
			first := push(time.Hour)
			if again := push(time.Hour); first.Duplicate || !again.Duplicate || again.ID != first.ID {
				f.Errorf("while it waits: %+v, then %+v", first, again)
			}
			c.settle(done(c.reserve(1, "default")[0]))
			if again := push(time.Hour); !again.Duplicate || again.ID != first.ID {
				f.Errorf("after it is done: %+v, want a duplicate of %d", again, first.ID)
			}
			_, err := c.Push(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("key"), sqlqueue.UniqueFor(time.Hour))
			f.duplicate(err, sqlqueue.Duplicate{Queue: "default", Key: "key", Holder: first.ID})
			other, err := c.TryPush(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("key"), sqlqueue.UniqueFor(time.Hour),
				sqlqueue.OnQueue("other"))
			f.pushed(other, err)

			brief, err := c.TryPush(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("brief"), sqlqueue.UniqueFor(brief))
			f.pushed(brief, err)
			for _, j := range c.reserve(1, "default") {
				c.settle(done(j))
			}
			f.eventually("the period passes", func() bool {
				next, err := c.TryPush(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("brief"), sqlqueue.UniqueFor(time.Hour))
				f.must(err)
				return !next.Duplicate
			})
		},
	},
	{
		"C3 many clients push a key for a period at once, and their jobs end at once: one runs",
		"that is what the period is for",
		func(f *fixture) {
			const clients, each = 4, 6
			worker := f.open()
			cs := make([]*client, clients)
			for i := range cs {
				cs[i] = f.open()
			}
			var all sync.WaitGroup
			var mu sync.Mutex
			won, ids := 0, map[int64]bool{}
			for _, c := range cs {
				all.Go(func() {
					for range each {
						got, err := c.TryPush(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("key"),
							sqlqueue.UniqueFor(time.Hour))
						if err != nil {
							f.Errorf("push: %v", err)
							return
						}
						mu.Lock()
						ids[got.ID] = true
						if !got.Duplicate {
							won++
						}
						mu.Unlock()
					}
				})
			}
			defer all.Wait()
			for _, j := range worker.reserve(1, "default") {
				f.eventually("no push has the key locked", func() bool {
					return len(worker.exchange(driver.Exchange{Settle: []driver.Settlement{done(j)}}).Locked) == 0
				})
			}
			all.Wait()
			if won != 1 || len(ids) != 1 {
				f.Errorf("%d pushes won, ids %v; want one", won, ids)
			}
		},
	},
	{
		"keys for periods that have passed are deleted by a beat, and others stay",
		"a table of every key that ever was would grow for ever",
		func(f *fixture) {
			c := f.open()
			for i, period := range []time.Duration{brief, brief, time.Hour} {
				got, err := c.TryPush(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique(fmt.Sprint(i)), sqlqueue.UniqueFor(period))
				f.pushed(got, err)
			}
			f.eventually("the old keys are deleted", func() bool {
				c.beat(driver.Beat{OldCounts: time.Hour})
				return f.count("SELECT count(*) FROM {job_once}") == 1
			})
		},
	},
	{
		"C4 a push that is rolled back leaves no key, one that commits does, in every mode",
		"a key without its job would keep the next job away",
		inEachWay(func(f *fixture, c *client, way Transactions) {
			for mode, options := range map[string][]sqlqueue.PushOption{
				"done":     {},
				"started":  {sqlqueue.UniqueUntilStarted()},
				"replace":  {sqlqueue.Replace()},
				"debounce": {sqlqueue.Debounce(time.Hour, 0)},
				"for":      {sqlqueue.UniqueFor(time.Hour)},
			} {
				options = append(options, sqlqueue.Unique(mode))
				job := sqlqueue.Named("job", mode)
				for _, commit := range []bool{false, true} {
					bound, tx := c.begin(way)
					got, err := bound.TryPush(f.Context(), job, options...)
					id := f.pushed(got, err)
					again, err := bound.TryPush(f.Context(), job, options...)
					f.must(err)
					replaces := mode == "replace" || mode == "debounce"
					if again.ID != id || again.Duplicate == replaces || again.Replaced != replaces {
						f.Errorf("%s: pushed again in the transaction: %+v, want id %d", mode, again, id)
					}
					f.end(tx, commit)
					next, err := c.TryPush(f.Context(), job, options...)
					f.must(err)
					if known := next.Duplicate || next.Replaced; known != commit {
						f.Errorf("%s, commit %v: the next push is %+v", mode, commit, next)
					}
					if !commit {
						if n, err := operator.New(c.Queue).Cancel(f.Context(), next.ID); n != 1 || err != nil {
							f.Fatalf("cancelled %d, %v", n, err)
						}
						f.exec("DELETE FROM {job_once}")
					}
				}
			}
		}),
	},
	{
		"a failed job that gave its key up is retried without it",
		"a retry must not be kept away by a job that was pushed since",
		func(f *fixture) {
			c := f.open()
			c.push(sqlqueue.Unique("key"), sqlqueue.Replace())
			c.settle(fail(c.reserve(1, "default")[0], "no", ""))
			c.push(sqlqueue.Unique("key"), sqlqueue.Replace())
			if n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{}); n != 1 || err != nil {
				f.Errorf("retried %d, %v", n, err)
			}
			c.reserve(2, "default")
		},
	},
	{
		"an edit of a job leaves its key, and until when it holds",
		"an operator who moves a job must not let a second one in",
		func(f *fixture) {
			c := f.open()
			id := c.push(sqlqueue.Unique("key"), sqlqueue.UniqueUntilStarted())
			mail := "mail"
			f.must(operator.New(c.Queue).Edit(f.Context(), id, operator.JobEdit{Queue: &mail}))
			if again, err := c.TryPush(f.Context(), sqlqueue.Named("job", 2), sqlqueue.Unique("key"), sqlqueue.Replace(),
				sqlqueue.OnQueue(mail)); err != nil || again.ID != id {
				f.Errorf("got %+v, %v", again, err)
			}
			c.reserve(1, mail)
			if key := c.job(id).UniqueKey; key != "" {
				f.Errorf("the reserved job has the key %q", key)
			}
		},
	},
}

// pushed is the id of a job that was made or changed.
func (f *fixture) pushed(p sqlqueue.Pushed, err error) int64 {
	f.Helper()
	f.must(err)
	if p.ID == 0 || p.Duplicate {
		f.Fatalf("got %+v, want a job that was pushed", p)
	}
	return p.ID
}

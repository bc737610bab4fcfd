package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var uniqueCases = []testCase{
	{
		"F3 a key that is held: the holder's id, and no second job",
		"what is pushed twice must run once",
		func(f *fixture) {
			c, other := f.open(), f.open()
			id := c.push(sqlqueue.Unique("invoice 42"))
			before := f.dump()
			got, err := other.Push(f.Context(), sqlqueue.Named("another", nil), sqlqueue.Unique("invoice 42"), sqlqueue.Priority(3),
				sqlqueue.Delay(time.Hour))
			f.duplicate(err, sqlqueue.Duplicate{Queue: "default", Key: "invoice 42", Holder: id})
			if got != id {
				f.Errorf("got id %d, want the holder's %d", got, id)
			}
			f.unchanged(before)
		},
	},
	{
		"F3 keys are a queue's own, and tell case apart",
		"otherwise queues that share a database would disturb each other",
		func(f *fixture) {
			c := f.open()
			seen := map[int64]bool{}
			for _, key := range []string{"key", "KEY", "kéy", "key2", "ключ", "🎉", "a,b", `quote'"\%_`} {
				seen[c.push(sqlqueue.Unique(key))] = true
				seen[c.push(sqlqueue.Unique(key), sqlqueue.OnQueue("other"))] = true
			}
			if len(seen) != 16 {
				f.Errorf("%d jobs, want 16", len(seen))
			}
		},
	},
	{
		"F3 the same key twice in one call",
		"a batch is of whatever gathered",
		func(f *fixture) {
			c := f.open()
			held := c.push(sqlqueue.Unique("held"))
			var jobs []sqlqueue.Pushable
			for i, key := range []string{"a", "b", "a", "held", "c", "b", "a"} {
				jobs = append(jobs, sqlqueue.With(sqlqueue.Named("job", i), sqlqueue.Unique(key)))
			}
			jobs = append(jobs, sqlqueue.Named("plain", nil))
			ids, err := c.PushMany(f.Context(), jobs)
			if len(ids) != len(jobs) {
				f.Fatalf("%d ids of %d jobs: %v", len(ids), len(jobs), err)
			}
			of := func(key string, holder int64) sqlqueue.Duplicate {
				return sqlqueue.Duplicate{Queue: "default", Key: key, Holder: holder}
			}
			f.duplicate(err, of("a", ids[0]), of("held", held), of("b", ids[1]), of("a", ids[0]))
			if want := []int64{ids[0], ids[1], ids[0], held, ids[4], ids[1], ids[0], ids[7]}; !slices.Equal(ids, want) {
				f.Errorf("got ids %v, want %v", ids, want)
			}
			left, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			want := []int64{held, ids[0], ids[1], ids[4], ids[7]}
			slices.Sort(want)
			f.sameIDs(left, want...)
			for i, id := range map[int]int64{0: ids[0], 1: ids[1], 4: ids[4]} {
				f.samePayload(c.job(id).Payload, fmt.Sprintf(`{"job":"job","data":%d}`, i))
			}
		},
	},
	{
		"F3 a key is held while its job waits, is delayed or runs",
		"unique means unique until it is done",
		func(f *fixture) {
			c := f.open()
			id := c.push(sqlqueue.Unique("key"), sqlqueue.Delay(brief))
			again := func() {
				f.Helper()
				if got, err := c.Push(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("key")); got != id || err == nil {
					f.Errorf("got id %d and %v, want %d and a *DuplicateError", got, err, id)
				}
			}
			again()
			j := c.reserve(1, "default")[0]
			again()
			c.settle(putBack(j, 0))
			again()
			j = c.reserveFrom(1, fromFor(brief, "default"))[0]
			c.expire(j)
			again()
		},
	},
	{
		"F3 a key is free when its job is deleted, cancelled or has failed",
		"the next invoice must be sendable",
		func(f *fixture) {
			c := f.open()
			first := c.push(sqlqueue.Unique("key"))
			c.settle(done(c.reserve(1, "default")[0]))
			second := c.push(sqlqueue.Unique("key"))
			c.settle(fail(c.reserve(1, "default")[0], "no", ""))
			third := c.push(sqlqueue.Unique("key"))
			if n, err := operator.New(c.Queue).Cancel(f.Context(), third); n != 1 || err != nil {
				f.Fatalf("cancelled %d, %v", n, err)
			}
			fourth := c.push(sqlqueue.Unique("key"))
			if ids := []int64{first, second, third, fourth}; !slices.IsSorted(ids) || len(slices.Compact(ids)) != 4 {
				f.Errorf("ids %v", ids)
			}
		},
	},
	{
		"F3 jobs without a key are never duplicates",
		"most jobs have none",
		func(f *fixture) {
			if ids := f.open().pushMany(5); len(slices.Compact(ids)) != 5 {
				f.Errorf("ids %v", ids)
			}
		},
	},
	{
		"F3 many clients push the same key at once: one wins, the others learn its id",
		"that is what keys are for",
		func(f *fixture) {
			const rounds, clients, perClient = 5, 4, 4
			cs := make([]*client, clients)
			for i := range cs {
				cs[i] = f.open()
			}
			for round := range rounds {
				ids, errs := make([]int64, clients*perClient), make([]error, clients*perClient)
				var all sync.WaitGroup
				for i := range ids {
					all.Go(func() {
						ids[i], errs[i] = cs[i%clients].Push(f.Context(), sqlqueue.Named("job", i), sqlqueue.Unique(fmt.Sprint(round)))
					})
				}
				all.Wait()
				won := 0
				for i, err := range errs {
					var duplicate *sqlqueue.DuplicateError
					switch {
					case err == nil:
						won++
					case !errors.As(err, &duplicate):
						f.Errorf("push %d: %v", i, err)
					}
					if ids[i] != ids[0] || ids[i] == 0 {
						f.Errorf("push %d got id %d, others %d", i, ids[i], ids[0])
					}
				}
				if won != 1 {
					f.Errorf("%d pushes won, want 1", won)
				}
			}
		},
	},
	{
		"F3 many clients push many keys at once, in different orders",
		"a deadlock would fail pushes that did nothing wrong",
		func(f *fixture) {
			const rounds, clients, keys = 6, 6, 20
			cs := make([]*client, clients)
			for i := range cs {
				cs[i] = f.open()
			}
			for round := range rounds {
				answers := make([][]int64, clients)
				var all sync.WaitGroup
				for i, c := range cs {
					all.Go(func() {
						var jobs []sqlqueue.Pushable
						for k := range keys {
							k = (k*7 + i*3) % keys
							if i%2 == 0 {
								k = keys - 1 - k
							}
							jobs = append(jobs, sqlqueue.With(sqlqueue.Named("job", k), sqlqueue.Unique(fmt.Sprintf("%d/%d", round, k))))
						}
						ids, err := c.PushMany(f.Context(), jobs)
						var duplicate *sqlqueue.DuplicateError
						if err != nil && !errors.As(err, &duplicate) {
							f.Errorf("client %d: %v", i, err)
						}
						answers[i] = ids
					})
				}
				all.Wait()
				different := map[int64]bool{}
				for _, ids := range answers {
					for _, id := range ids {
						different[id] = true
					}
				}
				if len(different) != keys {
					f.Errorf("%d different ids, want %d", len(different), keys)
				}
			}
		},
	},
	{
		"F3 pushes of one key by goroutines of one client",
		"concurrent pushes may share a statement, and must still each get their own answer",
		func(f *fixture) {
			const callers = 40
			c := f.open()
			ids, errs := make([]int64, callers), make([]error, callers)
			var all sync.WaitGroup
			for i := range callers {
				all.Go(func() {
					var options []sqlqueue.PushOption
					if i%2 == 0 {
						options = append(options, sqlqueue.Unique(fmt.Sprint(i%8)))
					}
					ids[i], errs[i] = c.Push(f.Context(), sqlqueue.Named("job", i), options...)
				})
			}
			all.Wait()
			holders := map[int]int64{}
			for i, err := range errs {
				var duplicate *sqlqueue.DuplicateError
				if err != nil && (i%2 != 0 || !errors.As(err, &duplicate)) {
					f.Errorf("push %d: %v", i, err)
				}
				if i%2 != 0 {
					f.samePayload(c.job(ids[i]).Payload, fmt.Sprintf(`{"job":"job","data":%d}`, i))
					continue
				}
				if holder, ok := holders[i%8]; ok && holder != ids[i] {
					f.Errorf("push %d got id %d, others of its key %d", i, ids[i], holder)
				}
				holders[i%8] = ids[i]
			}
			if n := f.count("SELECT count(*) FROM {jobs}"); n != callers/2+4 {
				f.Errorf("%d jobs, want %d", n, callers/2+4)
			}
		},
	},
	{
		"F3 C7 a failed job whose key is taken by now stays failed, and says so",
		"retry must neither lose it nor run two jobs of one key",
		func(f *fixture) {
			c := f.open()
			c.push(sqlqueue.Unique("key"), sqlqueue.OnQueue("mail"))
			c.push(sqlqueue.OnQueue("mail"))
			for _, j := range c.reserve(2, "mail") {
				c.settle(fail(j, "no", ""))
			}
			holder := c.push(sqlqueue.Unique("key"), sqlqueue.OnQueue("mail"))
			n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{})
			left := c.failedJobs()
			if n != 1 || len(left) != 1 || left[0].UniqueKey != "key" {
				f.Fatalf("retried %d, left %+v", n, left)
			}
			f.duplicate(err, sqlqueue.Duplicate{Queue: "mail", Key: "key", Holder: holder, Failed: left[0].ID})

			if _, err := operator.New(c.Queue).Cancel(f.Context(), holder); err != nil {
				f.Fatal(err)
			}
			if n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{IDs: []int64{left[0].ID}}); n != 1 || err != nil {
				f.Errorf("retried %d, %v", n, err)
			}
			if got, err := c.Push(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("key"), sqlqueue.OnQueue("mail")); err == nil {
				f.Errorf("the retried job lost its key: another got id %d", got)
			}
		},
	},
	{
		"F3 C7 of two failed jobs of one key, retry takes one",
		"a statement that inserts both would fail them all",
		func(f *fixture) {
			c := f.open()
			for range 2 {
				c.push(sqlqueue.Unique("key"))
				c.settle(fail(c.reserve(1, "default")[0], "no", ""))
			}
			c.push()
			c.settle(fail(c.reserve(1, "default")[0], "no", ""))
			n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{})
			var duplicate *sqlqueue.DuplicateError
			if n != 2 || !errors.As(err, &duplicate) || len(duplicate.Duplicates) != 1 {
				f.Errorf("retried %d, %v", n, err)
			}
			if left := c.failedJobs(); len(left) != 1 || left[0].UniqueKey != "key" {
				f.Errorf("left %+v", left)
			}
		},
	},
	{
		"F3 C7 a retry goes on past every key that is held",
		"a thousand failed jobs must not wait for the one that was pushed again",
		func(f *fixture) {
			c := f.open()
			for i := range 5 {
				c.push(sqlqueue.Unique(fmt.Sprint("key ", i)))
				c.push()
			}
			for _, j := range c.reserve(10, "default") {
				c.settle(fail(j, "no", ""))
			}
			failed := map[string]int64{}
			for _, j := range c.failedJobs() {
				failed[j.UniqueKey] = j.ID
			}
			first, third := c.push(sqlqueue.Unique("key 1")), c.push(sqlqueue.Unique("key 3"), sqlqueue.Delay(time.Hour))
			n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{})
			f.duplicate(err, sqlqueue.Duplicate{Queue: "default", Key: "key 1", Holder: first, Failed: failed["key 1"]},
				sqlqueue.Duplicate{Queue: "default", Key: "key 3", Holder: third, Failed: failed["key 3"]})
			if left := c.failedJobs(); n != 8 || len(left) != 2 {
				f.Errorf("retried %d, and %d are left; want 8 and 2", n, len(left))
			}
			if jobs := f.allJobs(c); len(jobs) != 10 {
				f.Errorf("there are %d jobs, want 10", len(jobs))
			}
		},
	},
	{
		"F3 what a unique index of the application's own refuses is an error, not a key that is held",
		"who ignores duplicates would lose the job",
		func(f *fixture) {
			c := f.open()
			taken, one := "taken", sqlqueue.Priority(1)
			c.push(sqlqueue.Unique("failed"), sqlqueue.OnQueue(taken), one)
			c.settle(fail(c.reserve(1, taken)[0], "no", ""))
			c.push(sqlqueue.OnQueue(taken), one)
			keyed := c.push(sqlqueue.Unique("key"), sqlqueue.OnQueue("mine"), one)
			f.exec("CREATE UNIQUE INDEX theirs ON {jobs} (queue, priority)")
			defer f.dropIndex("theirs", "jobs")
			before := f.dump()
			for what, do := range map[string]func() (int, error){
				"edit": func() (int, error) {
					return 0, operator.New(c.Queue).Edit(f.Context(), keyed, operator.JobEdit{Queue: &taken})
				},
				"push": func() (int, error) {
					id, err := c.Push(f.Context(), sqlqueue.Named("job", nil), sqlqueue.Unique("new"), sqlqueue.OnQueue(taken), one)
					return int(id), err
				},
				"push of several": func() (int, error) {
					job := sqlqueue.With(sqlqueue.Named("job", nil), sqlqueue.Unique("new"), sqlqueue.OnQueue(taken), one)
					ids, err := c.PushMany(f.Context(), []sqlqueue.Pushable{sqlqueue.Named("job", nil), job})
					return len(ids), err
				},
				"retry": func() (int, error) { return operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{}) },
			} {
				n, err := do()
				var duplicate *sqlqueue.DuplicateError
				if n != 0 || err == nil || errors.As(err, &duplicate) {
					f.Errorf("%s: got %d, %v; want the database's error", what, n, err)
				}
				// SQLite names the columns
				if err != nil && !strings.Contains(err.Error(), "theirs") && !strings.Contains(err.Error(), "priority") {
					f.Errorf("%s: %v does not name the index", what, err)
				}
				f.unchanged(before)
			}
		},
	},
	{
		"F3 E6 a job is not moved to a queue where its key is held",
		"keys are a queue's own",
		func(f *fixture) {
			c := f.open()
			mine := c.push(sqlqueue.Unique("key"))
			holder := c.push(sqlqueue.Unique("key"), sqlqueue.OnQueue("mail"))
			before := f.dump()
			mail, sms := "mail", "sms"
			err := operator.New(c.Queue).Edit(f.Context(), mine, operator.JobEdit{Queue: &mail})
			f.duplicate(err, sqlqueue.Duplicate{Queue: "mail", Key: "key", Holder: holder})
			f.unchanged(before)
			f.must(operator.New(c.Queue).Edit(f.Context(), mine, operator.JobEdit{Queue: &sms}))
			f.sameIDs(c.reserve(1, "sms"), mine)
		},
	},
}

// dropIndex: MySQL wants to be told the table.
func (f *fixture) dropIndex(index, table string) {
	f.Helper()
	schema, _ := f.splitTable(table)
	_, err := f.db.SQL.ExecContext(f.Context(), "DROP INDEX "+schema+index)
	if err == nil {
		return
	}
	if _, onTable := f.db.SQL.ExecContext(f.Context(), "DROP INDEX "+index+" ON "+f.db.Table(table)); onTable != nil {
		f.Errorf("drop index: %v; %v", err, onTable)
	}
}

// duplicate compares what a *DuplicateError tells, in whatever order.
func (f *fixture) duplicate(err error, want ...sqlqueue.Duplicate) {
	f.Helper()
	var duplicate *sqlqueue.DuplicateError
	if !errors.As(err, &duplicate) {
		f.Fatalf("got %v, want a *DuplicateError", err)
	}
	got := slices.Clone(duplicate.Duplicates)
	byKey := func(a, b sqlqueue.Duplicate) int { return cmp.Compare(a.Key, b.Key) }
	slices.SortFunc(got, byKey)
	slices.SortFunc(want, byKey)
	if !slices.Equal(got, want) {
		f.Errorf("duplicates %+v, want %+v", got, want)
	}
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var searchCases = []testCase{
	{
		"E6 jobs by a field of their data",
		"people know the order's number, not the job's",
		findByField,
	},
	{
		"E6 of members of the same name in the data the last is found",
		"it is the one that a handler gets",
		findByRepeatedField,
	},
	{
		"E6 the newest jobs come first if that is asked for, a page at a time",
		"what was just pushed is looked for most",
		func(f *fixture) {
			c := f.open()
			o := operator.New(c.Queue)
			ids := c.pushMany(5, sqlqueue.OnQueue("mail"))
			c.push(sqlqueue.OnQueue("other"))
			page := func(filter operator.JobFilter) []operator.Job {
				filter.Newest = true
				jobs, err := o.Jobs(f.Context(), filter)
				f.must(err)
				return jobs
			}
			for _, filter := range []operator.JobFilter{
				{Queue: "mail"}, {Queue: "mail", State: operator.Ready}, {Queue: "mail", Name: "job"},
			} {
				filter.Limit = 3
				first := page(filter)
				f.sameIDs(first, ids[4], ids[3], ids[2])
				filter.Until = first[2].ID - 1
				f.sameIDs(page(filter), ids[1], ids[0])
			}
			f.sameIDs(page(operator.JobFilter{After: ids[3], Queue: "mail"}), ids[4])
		},
	},
	{
		"E6 a payload that the database cannot take apart is in nobody's way",
		"one such row must not make every search an error",
		func(f *fixture) {
			c := f.open()
			for _, payload := range []string{
				`{"job":"job","data":{"id":1,"text":"a\u0000b"}}`, `{"job":"job","data":{"id":1,"text":"\ud83d"}}`,
				`{"job":"job","data":{"id":1,"a\u0000b":2}}`, `[{"job":"job"},{"data":{"id":2}}]`, `2`,
			} {
				if _, err := f.db.SQL.ExecContext(f.Context(), f.sql("INSERT INTO {jobs} (payload) VALUES (?)"), payload); err != nil {
					f.Logf("the database refuses %s: %v", payload, err)
					continue
				}
				f.inserted()
			}
			id, err := c.Push(f.Context(), sqlqueue.Named("job", map[string]int{"id": 2}))
			f.must(err)
			filter := operator.JobFilter{Fields: []operator.Field{field("2", "id")}}
			jobs, err := operator.New(c.Queue).Jobs(f.Context(), filter)
			f.must(err)
			f.sameIDs(jobs, id)
			if n, err := operator.New(c.Queue).CountJobs(f.Context(), filter, 10); n != 1 || err != nil {
				f.Errorf("counted %d, %v; want 1", n, err)
			}
			for _, value := range []string{"1", "a\\u0000b"} {
				if _, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{
					Fields: []operator.Field{field(value, "id")},
				}); err != nil {
					f.Errorf("%s: %v", value, err)
				}
			}
		},
	},
	{
		"E6 jobs by age count from the database's now, and with other conditions",
		"what is old enough to be withdrawn is asked about in these words",
		func(f *fixture) {
			c := f.open()
			old := f.oldJob(c)
			f.exec("UPDATE {jobs} SET created_at = available_at WHERE id = ?", old)
			recent := c.push()
			const year = 365 * 24 * time.Hour
			for age, want := range map[time.Duration][]int64{0: {old, recent}, time.Hour: {old}, 5 * year: {old}, 90 * year: nil} {
				jobs, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{OlderThan: age})
				f.must(err)
				if got := idsOf(jobs); !slices.Equal(got, want) {
					f.Errorf("older than %v: got %v, want %v", age, got, want)
				}
			}
			if n, err := operator.New(c.Queue).CountJobs(f.Context(), operator.JobFilter{
				OlderThan: time.Hour, Queue: "default",
			}, 10); n != 0 || err != nil {
				f.Errorf("counted %d, %v; want none", n, err)
			}
			if n, err := operator.New(c.Queue).CancelAll(f.Context(), operator.JobFilter{OlderThan: time.Hour}); n != 1 || err != nil {
				f.Errorf("cancelled %d, %v; want 1", n, err)
			}
			f.sameIDs(f.allJobs(c), recent)
		},
	},
	{
		"E6 jobs are counted as they are listed, up to a limit",
		"what a command is going to touch is told first",
		func(f *fixture) {
			c := f.open()
			c.pushMany(5)
			c.pushMany(4, sqlqueue.OnQueue("mail"))
			c.pushMany(3, sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Hour))
			c.reserve(2, "mail")
			for _, test := range []struct {
				filter operator.JobFilter
				most   int
				want   int
			}{
				{operator.JobFilter{}, 100_000, 12},
				{operator.JobFilter{}, 12, 12},
				{operator.JobFilter{}, 11, 11},
				{operator.JobFilter{}, 1, 1},
				{operator.JobFilter{Limit: 2}, 100, 12},
				{operator.JobFilter{Queue: "mail"}, 100, 7},
				{operator.JobFilter{Queue: "mail", State: operator.Delayed}, 100, 3},
				{operator.JobFilter{Queue: "mail", NotReserved: true}, 100, 5},
				{operator.JobFilter{State: operator.Reserved}, 100, 2},
				{operator.JobFilter{Name: "job"}, 10, 10},
				{operator.JobFilter{Name: "none"}, 10, 0},
				{operator.JobFilter{IDs: []int64{}}, 10, 0},
			} {
				if n, err := operator.New(c.Queue).CountJobs(f.Context(), test.filter, test.most); n != test.want || err != nil {
					f.Errorf("%+v to %d: got %d, %v; want %d", test.filter, test.most, n, err, test.want)
				}
			}
		},
	},
	{
		"E6 a search goes window by window",
		"what no index knows is looked for among millions, and somebody waits for the answer",
		func(f *fixture) {
			c := f.open()
			if last, err := operator.New(c.Queue).Window(f.Context(), 0, 5); last != 0 || err != nil {
				f.Errorf("of no jobs the window ends at %d, %v", last, err)
			}
			ids := c.pushMany(10)
			n, err := operator.New(c.Queue).Cancel(f.Context(), ids[1], ids[2])
			f.must(err)
			ids = slices.Delete(ids, 1, 1+n)
			for _, test := range []struct {
				after int64
				n     int
				want  int64
			}{
				{0, 1, ids[0]},
				{0, 3, ids[2]},
				{ids[2], 4, ids[6]},
				{ids[2] - 1, 1, ids[2]},
				{ids[6], 1, ids[7]},
				{ids[6], 100, ids[7]},
				{ids[7], 100, 0},
			} {
				if last, err := operator.New(c.Queue).Window(f.Context(), test.after, test.n); last != test.want || err != nil {
					f.Errorf("%d after %d: got %d, %v; want %d", test.n, test.after, last, err, test.want)
				}
			}
			window := operator.JobFilter{After: ids[1], Until: ids[4], Name: "job"}
			jobs, err := operator.New(c.Queue).Jobs(f.Context(), window)
			f.must(err)
			f.sameIDs(jobs, ids[2:5]...)
			if n, err := operator.New(c.Queue).CountJobs(f.Context(), window, 10); n != 3 || err != nil {
				f.Errorf("counted %d, %v; want 3", n, err)
			}
			if n, err := operator.New(c.Queue).CancelAll(f.Context(), window); n != 3 || err != nil {
				f.Errorf("cancelled %d, %v; want 3", n, err)
			}
		},
	},
	{
		"E6 cancel by filter: in batches, from the oldest, and never what a worker has",
		"a thousand jobs that were pushed wrongly, while workers go on",
		func(f *fixture) {
			const n = 1020
			c := f.open()
			wrong := make([]sqlqueue.Pushable, n+2)
			for i := range wrong {
				wrong[i] = sqlqueue.Named("wrong", i)
			}
			_, err := c.PushMany(f.Context(), wrong)
			f.must(err)
			right := c.push()
			other, err := c.Push(f.Context(), sqlqueue.Named("wrong", nil), sqlqueue.OnQueue("other"))
			f.must(err)
			running := c.reserve(2, "default")
			var told []int
			got, err := operator.New(f.open().Queue).CancelAll(f.Context(), operator.JobFilter{
				Queue: "default", Name: "wrong", Limit: 3,
			}, func(n int) {
				told = append(told, n)
			})
			if got != n || err != nil || len(told) < 2 || told[0] != 1000 || told[len(told)-1] != n || !slices.IsSorted(told) {
				f.Errorf("cancelled %d, %v, and told of %v; want %d in steps of 1,000", got, err, told, n)
			}
			f.sameIDs(f.allJobs(c), running[0].ID, running[1].ID, right, other)
			if got, err := operator.New(c.Queue).CancelAll(f.Context(), operator.JobFilter{State: operator.Reserved}); got != 0 ||
				err != nil {
				f.Errorf("of what workers have, cancelled %d, %v", got, err)
			}
			c.settle(done(running[0]), done(running[1]))
		},
	},
	{
		"E6 cancel by filter passes over what is taken meanwhile, and goes on",
		"an operator who is told that all are cancelled does not look again",
		func(f *fixture) {
			if !f.hasRowLocks() {
				return
			}
			const n = 1010
			c := f.open()
			ids := c.pushMany(n)
			tx, err := f.db.SQL.BeginTx(f.Context(), nil)
			f.must(err)
			defer func() { _ = tx.Rollback() }()
			_, err = tx.ExecContext(f.Context(), f.sql("UPDATE {jobs} SET queue = 'elsewhere' WHERE id = "+fmt.Sprint(ids[7])))
			f.must(err)
			cancelled := make(chan error, 1)
			go func() {
				got, err := operator.New(c.Queue).CancelAll(f.Context(), operator.JobFilter{Queue: "default"})
				if err == nil && got != n-1 {
					err = fmt.Errorf("cancelled %d, want %d", got, n-1)
				}
				cancelled <- err
			}()
			select { // it has looked, and waits for the lock; if it has not, the test shows less
			case err := <-cancelled:
				f.Errorf("it did not wait for a row that is locked: %v", err)
			case <-time.After(4 * brief):
				f.must(tx.Commit())
				f.must(<-cancelled)
			}
			f.sameIDs(f.allJobs(c), ids[7])
		},
	},
	{
		"E6 a cancel that is interrupted leaves whole batches",
		"Ctrl-C in a long command",
		func(f *fixture) {
			c := f.open()
			c.pushMany(2500)
			ctx, cancel := context.WithCancel(f.Context())
			defer cancel()
			n, err := operator.New(c.Queue).CancelAll(ctx, operator.JobFilter{}, func(int) { cancel() })
			if left := f.count("SELECT count(*) FROM {jobs}"); !errors.Is(err, context.Canceled) || n != 1000 || left != 1500 {
				f.Errorf("cancelled %d, %v, and %d are left; want 1,000 and 1,500", n, err, left)
			}
		},
	},
	{
		"C7 failed jobs by a part of their error",
		"one cause among many is retried when it is mended",
		func(f *fixture) {
			c := f.open()
			errs := []string{
				"dial tcp 10.0.0.7:25: connection refused", "dial tcp 10.0.0.8:25: i/o timeout", "Dial TCP: Connection Refused",
				"100% of [a-z] and _ are wrong? yes!", "100 of a and x are wrong", "line one\nline two", `back\slash`, "", "a*b", "axxb",
				"it's \"quoted\" !% !_ 🎉é",
			}
			ids := f.failWith(c, "default", "job", errs...)
			for _, test := range []struct {
				text string
				want []int
			}{
				{"connection refused", []int{0}},
				{"dial tcp *refused", []int{0}},
				{"dial tcp *:25: ", []int{0, 1}},
				{"refused*dial", nil},
				{"Connection", []int{2}},
				{"%", []int{3, 10}},
				{"_", []int{3, 10}},
				{"[a-z]", []int{3}},
				{"wrong?", []int{3}},
				{"!", []int{3, 10}},
				{"!%", []int{10}},
				{"100*wrong", []int{3, 4}},
				{"one\nline", []int{5}},
				{"one*two", []int{5}},
				{`\`, []int{6}},
				{`k\s`, []int{6}},
				{"a*b", []int{8, 9}},
				{"**x*", []int{4, 9}},
				{"*", []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
				{`it's "quoted"`, []int{10}},
				{"🎉é", []int{10}},
				{"e\u0301", nil},
				{"' OR 1 = 1", nil},
			} {
				var want []int64
				for _, i := range slices.Backward(test.want) {
					want = append(want, ids[i])
				}
				jobs, err := operator.New(c.Queue).FailedJobs(f.Context(), operator.FailedFilter{Error: test.text})
				f.must(err)
				if got := idsOfFailed(jobs); !slices.Equal(got, want) {
					f.Errorf("%q: got %v, want %v", test.text, got, want)
				}
			}
			if n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{Error: "dial*:25"}); n != 2 || err != nil {
				f.Errorf("retried %d, %v; want 2", n, err)
			}
			if n, err := operator.New(c.Queue).Forget(f.Context(), operator.FailedFilter{Error: "wrong", Queue: "default"}); n != 2 ||
				err != nil {
				f.Errorf("forgot %d, %v; want 2", n, err)
			}
		},
	},
	{
		"C7 E8 failed jobs are grouped by queue, name and like errors",
		"a million failures have a handful of causes",
		groupFailed,
	},
}

func groupFailed(f *fixture) {
	c := f.open()
	var errs []string
	for i := range 30 {
		errs = append(errs, fmt.Sprintf("order %d: no answer from 10.0.0.%d:443 after 30 s, request 3f%02xa9", 1000+i, i, i))
	}
	refused := f.failWith(c, "mail", "job", errs...)
	status := f.failWith(c, "mail", "job", "exit status 1", "exit status 2", "exit status 1", "100% [a_b]? *!", "")
	other := f.failWith(c, "mail", "other", errs[0])
	sms := f.failWith(c, "sms", "job", errs[1], errs[2])
	long := f.failWith(c, "sms", "long", strings.Repeat("é", 199)+"|tail one",
		strings.Repeat("é", 199)+"|tail two", strings.Repeat("é", 198)+"other")
	type group struct {
		queue, name, error string
		ids                []int64
	}
	const like = "order * no answer from * after * s, request *"
	want := []group{
		{"mail", "job", like, refused},
		{"sms", "long", strings.Repeat("é", 199) + "|", long[:2]},
		{"sms", "job", like, sms},
		{"mail", "job", "exit status 1", []int64{status[0], status[2]}},
		{"sms", "long", strings.Repeat("é", 198) + "ot", long[2:]},
		{"mail", "other", like, other},
		{"mail", "job", "", status[4:]},
		{"mail", "job", "*% [a_b]? *!", status[3:4]},
		{"mail", "job", "exit status 2", status[1:2]},
	}
	failedAt := map[int64]time.Time{}
	for _, j := range c.failedJobs() {
		failedAt[j.ID] = j.FailedAt
	}
	check := func(filter operator.FailedFilter, most int, want []group) {
		f.Helper()
		got, err := operator.New(f.open().Queue).FailedGroups(f.Context(), filter, most)
		f.must(err)
		if len(got) != len(want) {
			f.Fatalf("%+v to %d: got %d groups, want %d: %+v", filter, most, len(got), len(want), got)
		}
		for i, g := range got {
			w := want[i]
			if g.Queue != w.queue || g.Name != w.name || g.Error != w.error || g.Count != int64(len(w.ids)) || g.ID != slices.Max(w.ids) {
				f.Errorf("%+v to %d: got %+v, want %+v", filter, most, g, w)
			}
			if !g.First.Equal(failedAt[slices.Min(w.ids)]) || !g.Last.Equal(failedAt[slices.Max(w.ids)]) {
				f.Errorf("%q: from %v to %v, want from %v to %v",
					g.Error, g.First, g.Last, failedAt[slices.Min(w.ids)], failedAt[slices.Max(w.ids)])
			}
		}
	}
	check(operator.FailedFilter{}, 100_000, want)
	check(operator.FailedFilter{Limit: 1, Queue: "sms"}, 1000, []group{want[1], want[2], want[4]})
	check(operator.FailedFilter{Name: "other"}, 1000, []group{want[5]})
	check(operator.FailedFilter{Error: "exit"}, 1000, []group{want[3], want[8]})
	check(operator.FailedFilter{}, 2, []group{{"sms", "long", want[4].error, long[2:]}, {"sms", "long", want[1].error, long[1:2]}})
	check(operator.FailedFilter{OlderThan: time.Hour}, 1000, nil)
	check(operator.FailedFilter{Before: refused[1]}, 1000, []group{{"mail", "job", like, refused[:1]}})
	for _, g := range want {
		if g.name != "job" || g.error == "" {
			continue
		}
		found, err := operator.New(c.Queue).FailedJobs(f.Context(), operator.FailedFilter{Queue: g.queue, Name: g.name, Error: g.error})
		f.must(err)
		if ids := idsOfFailed(found); !slices.Equal(ids, sortedDown(g.ids)) {
			f.Errorf("%q as a filter finds %v, want %v", g.error, ids, g.ids)
		}
	}
}

func sortedDown(ids []int64) []int64 {
	ids = slices.Sorted(slices.Values(ids))
	slices.Reverse(ids)
	return ids
}

// failWith pushes jobs and fails them, each with its error. It returns the ids of the failed jobs, in the order of the errors.
func (f *fixture) failWith(c *client, queue, name string, errs ...string) []int64 {
	f.Helper()
	var ids []int64
	for _, text := range errs {
		_, err := c.Push(f.Context(), sqlqueue.Named(name, nil), sqlqueue.OnQueue(queue))
		f.must(err)
		c.settle(fail(c.reserve(1, queue)[0], text, ""))
		jobs, err := operator.New(c.Queue).FailedJobs(f.Context(), operator.FailedFilter{Limit: 1})
		f.must(err)
		ids = append(ids, jobs[0].ID)
	}
	return ids
}

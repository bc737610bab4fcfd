package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var failedCases = []testCase{
	{
		"C7 failed jobs by queue, name, id and age, a page at a time",
		"people look for one job among thousands",
		func(f *fixture) {
			c := f.open()
			for i := range 6 {
				f.failOne(c, fmt.Sprintf("name%d", i%2), []string{"mail", "sms", "chat"}[i%3])
			}
			all := c.failedJobs()
			if len(all) != 6 || !slices.IsSortedFunc(all, func(a, b operator.FailedJob) int { return int(b.ID - a.ID) }) {
				f.Fatalf("got %+v", all)
			}
			for _, test := range []struct {
				filter operator.FailedFilter
				want   []int // places in all
			}{
				{operator.FailedFilter{Queue: "mail"}, []int{2, 5}},
				{operator.FailedFilter{Name: "name1"}, []int{0, 2, 4}},
				{operator.FailedFilter{Queue: "mail", Name: "name1"}, []int{2}},
				{operator.FailedFilter{IDs: []int64{all[1].ID, all[4].ID, all[0].ID + 1000}}, []int{1, 4}},
				{operator.FailedFilter{IDs: []int64{}}, nil},
				{operator.FailedFilter{OlderThan: time.Hour}, nil},
				{operator.FailedFilter{Limit: 2}, []int{0, 1}},
				{operator.FailedFilter{Limit: 2, Before: all[1].ID}, []int{2, 3}},
				{operator.FailedFilter{Limit: 9, Before: all[5].ID}, nil},
				{operator.FailedFilter{Queue: "none"}, nil},
			} {
				got, err := operator.New(c.Queue).FailedJobs(f.Context(), test.filter)
				f.must(err)
				var want []int64
				for _, i := range test.want {
					want = append(want, all[i].ID)
				}
				if ids := idsOfFailed(got); !slices.Equal(ids, want) {
					f.Errorf("%+v: got %v, want %v", test.filter, ids, want)
				}
			}
			one, err := operator.New(c.Queue).FailedJob(f.Context(), all[3].ID)
			if err != nil || one.JobID != all[3].JobID {
				f.Errorf("got %+v, %v", one, err)
			}
			if _, err := operator.New(c.Queue).FailedJob(f.Context(), all[0].ID+1000); !errors.Is(err, operator.ErrNotFound) {
				f.Errorf("got %v, want ErrNotFound", err)
			}
		},
	},
	{
		"C7 older than counts from the database's now",
		"flush and prune must keep what is recent",
		func(f *fixture) {
			c := f.open()
			f.failOne(c, "old", "default")
			f.exec("UPDATE {failed_jobs} SET created_at = (SELECT available_at FROM {jobs} WHERE id = ?)", f.oldJob(c))
			f.exec("UPDATE {failed_jobs} SET failed_at = created_at")
			recent := f.failOne(c, "recent", "default")
			const year = 365 * 24 * time.Hour
			for age, want := range map[time.Duration]int{0: 2, time.Hour: 1, 5 * year: 1, 90 * year: 0} {
				jobs, err := operator.New(c.Queue).FailedJobs(f.Context(), operator.FailedFilter{OlderThan: age})
				if err != nil || len(jobs) != want {
					f.Errorf("older than %v: %d jobs, %v; want %d", age, len(jobs), err, want)
				}
			}
			if n, err := operator.New(c.Queue).Forget(f.Context(), operator.FailedFilter{OlderThan: 90 * year}); n != 0 || err != nil {
				f.Errorf("forgot %d, %v", n, err)
			}
			n, err := operator.New(c.Queue).Forget(f.Context(), operator.FailedFilter{OlderThan: time.Hour})
			if left := c.failedJobs(); n != 1 || err != nil || len(left) != 1 || left[0].ID != recent.ID {
				f.Errorf("forgot %d, %v; left %+v", n, err, left)
			}
		},
	},
	{
		"C7 retry: a new id, no attempts, available now, the rest as it was",
		"the late worker of the failed job must not reach the new one",
		func(f *fixture) {
			c := f.open()
			id, err := c.Push(f.Context(), sqlqueue.Named("job", "data"), sqlqueue.OnQueue("mail"), sqlqueue.Priority(4), sqlqueue.Tries(2))
			f.must(err)
			pushed := c.job(id)
			c.settle(putBack(c.reserve(1, "mail")[0], 0))
			c.settle(fail(c.reserve(1, "mail")[0], "no", ""))
			before := c.now()
			if n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{IDs: []int64{c.failedJobs()[0].ID}}); n != 1 ||
				err != nil {
				f.Fatalf("retried %d, %v", n, err)
			}
			after := c.now()
			if left := c.failedJobs(); len(left) != 0 {
				f.Errorf("left %+v", left)
			}
			j := c.reserve(1, "mail")[0]
			if j.ID <= id || j.Attempts != 1 || j.Priority != 4 || j.Queue != "mail" {
				f.Errorf("retried %+v from %+v", j, pushed)
			}
			f.samePayload(j.Payload, string(pushed.Payload))
			f.between("available_at", j.AvailableAt, before, after)
		},
	},
	{
		"C7 retry many, by queue, by name, and all",
		"after an outage there are thousands",
		func(f *fixture) {
			c := f.open()
			for i := range 9 {
				f.failOne(c, fmt.Sprintf("name%d", i%2), []string{"mail", "sms", "chat"}[i%3])
			}
			all := c.failedJobs()
			retry := func(filter operator.FailedFilter, want, left int) {
				f.Helper()
				if n, err := operator.New(c.Queue).Retry(f.Context(), filter); n != want || err != nil {
					f.Errorf("%+v: retried %d, %v; want %d", filter, n, err, want)
				}
				if n := len(c.failedJobs()); n != left {
					f.Errorf("%+v: left %d, want %d", filter, n, left)
				}
			}
			retry(operator.FailedFilter{IDs: []int64{all[8].ID, all[0].ID}}, 2, 7) // mail, chat
			retry(operator.FailedFilter{Queue: "mail"}, 2, 5)
			if got := len(c.reserve(3, "mail")); got != 3 {
				f.Errorf("%d jobs on mail", got)
			}
			retry(operator.FailedFilter{Queue: "sms", Name: "name1"}, 2, 3)
			retry(operator.FailedFilter{}, 3, 0)
			retry(operator.FailedFilter{}, 0, 0)
			f.sameIDs(c.take(9, "mail"))
			c.reserve(6, "sms", "chat")
		},
	},
	{
		"C7 retried jobs keep their order",
		"the first to fail is the first to run again",
		func(f *fixture) {
			c := f.open()
			for i := range 5 {
				f.failOne(c, fmt.Sprintf("name%d", i), "default")
			}
			if _, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{}); err != nil {
				f.Fatal(err)
			}
			for i, j := range c.take(5, "default") {
				f.samePayload(j.Payload, fmt.Sprintf(`{"job":"name%d","data":null}`, i))
			}
		},
	},
	{
		"C7 more failed jobs than fit in one transaction",
		"millions must be retried without one lock over all",
		func(f *fixture) {
			const n = 1030
			c := f.open()
			c.pushMany(n)
			var settle []driver.Settlement
			for _, j := range c.reserve(n, "default") {
				settle = append(settle, fail(j, "no", ""))
			}
			c.settle(settle...)
			if got, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{}); got != n || err != nil {
				f.Errorf("retried %d, %v", got, err)
			}
			settle = settle[:0]
			for _, j := range c.reserve(n, "default") {
				settle = append(settle, fail(j, "no", ""))
			}
			c.settle(settle...)
			if got, err := operator.New(c.Queue).Forget(f.Context(), operator.FailedFilter{}); got != n || err != nil {
				f.Errorf("forgot %d, %v", got, err)
			}
			f.empty()
		},
	},
	{
		"C7 forget deletes, and nothing else",
		"a job that will never succeed",
		func(f *fixture) {
			c := f.open()
			for range 3 {
				f.failOne(c, "job", "mail")
			}
			f.failOne(c, "job", "sms")
			waiting := c.push(sqlqueue.OnQueue("mail"))
			all := c.failedJobs()
			n, err := operator.New(c.Queue).Forget(f.Context(), operator.FailedFilter{IDs: []int64{all[1].ID, all[0].ID + 1000}})
			if n != 1 || !errors.Is(err, operator.ErrNotFound) {
				f.Errorf("forgot %d, %v; want 1 and ErrNotFound", n, err)
			}
			if n, err := operator.New(c.Queue).Forget(f.Context(), operator.FailedFilter{Queue: "mail"}); n != 2 || err != nil {
				f.Errorf("forgot %d, %v; want 2", n, err)
			}
			if left := c.failedJobs(); len(left) != 1 || left[0].Queue != "sms" {
				f.Errorf("left %+v", left)
			}
			f.sameIDs(c.take(9, "mail", "sms"), waiting)
		},
	},
	{
		"C7 an id that is not there is ErrNotFound, and the others are done",
		"somebody else may have retried it a moment ago",
		func(f *fixture) {
			c := f.open()
			one := f.failOne(c, "job", "default")
			n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{IDs: []int64{one.ID + 1000, one.ID}})
			if n != 1 || !errors.Is(err, operator.ErrNotFound) {
				f.Errorf("retried %d, %v; want 1 and ErrNotFound", n, err)
			}
		},
	},
	{
		"C7 two clients that retry at once retry each job once",
		"two operators press the same button",
		func(f *fixture) {
			const jobs, clients = 60, 4
			c := f.open()
			c.pushMany(jobs)
			var settle []driver.Settlement
			for _, j := range c.reserve(jobs, "default") {
				settle = append(settle, fail(j, "no", ""))
			}
			c.settle(settle...)
			counts := make(chan int, clients)
			for range clients {
				other := f.open()
				go func() {
					n, err := operator.New(other.Queue).Retry(f.Context(), operator.FailedFilter{})
					if err != nil {
						f.Error(err)
					}
					counts <- n
				}()
			}
			total := 0
			for range clients {
				total += <-counts
			}
			if there := f.count("SELECT count(*) FROM {jobs}"); total != jobs || there != jobs {
				f.Errorf("retried %d, and there are %d jobs; want %d", total, there, jobs)
			}
		},
	},
}

// failOne pushes a job and fails it.
func (f *fixture) failOne(c *client, name, queue string) operator.FailedJob {
	f.Helper()
	_, err := c.Push(f.Context(), sqlqueue.Named(name, nil), sqlqueue.OnQueue(queue))
	f.must(err)
	c.settle(fail(c.reserve(1, queue)[0], "no", ""))
	return c.failedJobs()[0]
}

// oldJob pushes a job that has been available since 2010, on a queue of its own.
func (f *fixture) oldJob(c *client) int64 {
	f.Helper()
	return c.push(sqlqueue.OnQueue("old"), sqlqueue.At(time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC)))
}

func idsOfFailed(jobs []operator.FailedJob) []int64 {
	var ids []int64
	for _, j := range jobs {
		ids = append(ids, j.ID)
	}
	return ids
}

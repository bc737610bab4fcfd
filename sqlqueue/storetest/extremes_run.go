package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// ok notes an error.
func (d *extremeTest) ok(what string, err error) bool {
	if err != nil {
		d.complain("%s: %w", what, err)
	}
	return err == nil
}

func (d *extremeTest) complain(format string, a ...any) {
	d.wrong = append(d.wrong, fmt.Errorf(format, a...))
}

// run does everything that there is to do.
func (d *extremeTest) run() {
	d.lists()
	d.work()
	d.requeue()
	d.retry()
	d.lists()
	d.operate()
}

// lists reads all that can be listed.
func (d *extremeTest) lists() {
	jobs := d.jobs()
	d.all("jobs", len(jobs))
	past, future := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)
	for what, filter := range map[string]operator.JobFilter{
		"of a queue": {Queue: "default"}, "ready": {State: operator.Ready},
		"delayed": {State: operator.Delayed}, "reserved": {State: operator.Reserved},
		"by name": {Name: "job"}, "by field": {Fields: []operator.Field{{Path: []string{"a", "b"}, Value: "1"}}},
		"older than": {OlderThan: time.Hour}, "created after": {CreatedAfter: past}, "created before": {CreatedBefore: future},
	} {
		_, err := operator.New(d.q).Jobs(d.ctx, filter)
		d.ok("jobs "+what, err)
		_, err = operator.New(d.q).CountJobs(d.ctx, filter, 1000)
		d.ok("count of jobs "+what, err)
	}
	_, err := operator.New(d.q).Window(d.ctx, 0, 10)
	d.ok("window", err)

	failed := d.failed()
	d.all("failed_jobs", len(failed))
	for what, filter := range map[string]operator.FailedFilter{
		"of a queue": {Queue: "default"}, "by name": {Name: "job"}, "by error": {Error: "an*r"}, "older than": {OlderThan: time.Hour},
	} {
		_, err := operator.New(d.q).FailedJobs(d.ctx, filter)
		d.ok("failed jobs "+what, err)
	}
	groups, err := operator.New(d.q).FailedGroups(d.ctx, operator.FailedFilter{}, 1000)
	d.ok("groups", err)
	d.readable("groups", groups)
	for _, most := range []int64{0, 1, 10_000} {
		queues, err := operator.New(d.q).Queues(d.ctx, most)
		d.ok(fmt.Sprintf("queues, counted to %d", most), err)
		d.readable("queues", queues)
		for _, queue := range queues {
			if c := queue.Control; c.Expire != nil && *c.Expire < 0 {
				d.complain("queue %q has the expire %v", queue.Queue, *c.Expire)
			}
		}
	}
	for _, since := range []time.Duration{time.Minute, operator.CountsKept} {
		counts, err := operator.New(d.q).Counts(d.ctx, since)
		d.ok("counts", err)
		d.readable("counts", counts)
		counts, err = operator.New(d.q).CountsBy(d.ctx, since, time.Hour, 1000)
		d.ok("counts in steps", err)
		d.readable("counts in steps", counts)
	}
	workers, err := operator.New(d.q).Workers(d.ctx)
	if d.ok("workers", err) {
		d.readable("workers", workers)
		d.all("job_workers", len(workers))
	}
	subscriptions, err := operator.New(d.q).Subscriptions(d.ctx)
	if d.ok("subscriptions", err) {
		d.readable("subscriptions", subscriptions)
		d.all("job_subscriptions", len(subscriptions))
	}
}

// all sees that as many rows were listed as the table has.
func (d *extremeTest) all(table string, listed int) {
	if n := d.rows(table); n != listed {
		d.complain("%d of %d rows of %s were listed", listed, n, table)
	}
}

// rows counts the rows of a table: where the schema cannot refuse an id that is none, those that have one.
func (d *extremeTest) rows(table string) int {
	where := ""
	if d.db.OddIDs && (table == "jobs" || table == "failed_jobs") {
		where = " WHERE id BETWEEN 1 AND 9223372036854775807"
	}
	return d.count("SELECT count(*) FROM " + d.db.Table(table) + where)
}

// readable sees that what was read can be written as JSON, as every list can be.
func (d *extremeTest) readable(what string, v any) {
	text, err := json.Marshal(v)
	if d.ok(what+" as JSON", err) && (!utf8.Valid(text) || strings.Contains(string(text), `\ufffd`)) {
		d.complain("%s: not valid UTF-8: %.200s", what, text)
	}
}

// jobs lists the jobs, page by page.
func (d *extremeTest) jobs() (jobs []sqlqueue.Job) {
	f := operator.JobFilter{Limit: 100}
	for {
		page, err := operator.New(d.q).Jobs(d.ctx, f)
		if !d.ok("jobs", err) || len(page) == 0 {
			break
		}
		jobs, f.After = append(jobs, page...), page[len(page)-1].ID
	}
	for _, j := range jobs {
		if j.Attempts < 0 || j.Exceptions < 0 {
			d.complain("job %d has %d attempts and %d exceptions", j.ID, j.Attempts, j.Exceptions)
		}
		j.Payload = nil
		d.readable("a job", j)
	}
	return jobs
}

func (d *extremeTest) failed() (failed []operator.FailedJob) {
	f := operator.FailedFilter{Limit: 100}
	for {
		page, err := operator.New(d.q).FailedJobs(d.ctx, f)
		if !d.ok("failed jobs", err) || len(page) == 0 {
			break
		}
		failed, f.Before = append(failed, page...), page[len(page)-1].ID
	}
	for _, j := range failed {
		j.Payload = nil
		d.readable("a failed job", j)
	}
	return failed
}

// queues are those that have a name that can be asked for.
func (d *extremeTest) queues() []string {
	names := []string{"default", "other"}
	infos, err := operator.New(d.q).Queues(d.ctx, 0)
	d.ok("queues", err)
	for _, info := range infos {
		if !slices.Contains(names, info.Queue) && sqlqueue.CheckQueueName(info.Queue) == nil {
			names = append(names, info.Queue)
		}
	}
	return names
}

// good pushes a job to each of two queues.
func (d *extremeTest) good() map[int64]bool {
	good := map[int64]bool{}
	for _, queue := range []string{"default", "other"} {
		id, err := d.q.Push(d.ctx, sqlqueue.Named("good", nil), sqlqueue.OnQueue(queue))
		if d.ok("push", err) {
			good[id] = true
		}
	}
	return good
}

// take reserves until it has the good jobs, and returns all that it got.
func (d *extremeTest) take(good map[int64]bool, expire time.Duration) (jobs []sqlqueue.Job) {
	left := len(good)
	err := d.poll(func() bool {
		answer, err := d.exchange(driver.Exchange{Limit: 1000, Reserve: fromFor(expire, d.queues()...)})
		if !d.ok("reserve", err) {
			return true
		}
		for _, j := range answer.Reserved {
			if good[j.ID] {
				left--
			}
		}
		jobs = append(jobs, answer.Reserved...)
		return left == 0
	})
	if err != nil || left > 0 {
		d.complain("of the %d good jobs, %d were not reserved (%v)", len(good), left, err)
	}
	return jobs
}

// work reserves, touches and settles everything.
func (d *extremeTest) work() {
	for round := range 3 {
		jobs := d.take(d.good(), keep)
		var touches []driver.Touch
		var settle []driver.Settlement
		for i, j := range jobs {
			d.valid(j.Queue, j.UniqueKey, string(j.Payload))
			t := touch(j, keep)
			t.Start = i%2 == 0
			touches = append(touches, t)
			switch {
			case round == 0:
				s := putBack(j, 0)
				s.Exception = true
				settle = append(settle, s)
			case i%3 == 0:
				settle = append(settle, giveBack(j))
			case i%3 == 1:
				settle = append(settle, fail(j, "an error", ""))
			default:
				settle = append(settle, done(j))
			}
		}
		answer, err := d.exchange(driver.Exchange{Touch: touches})
		if d.ok("touch", err) && len(answer.Lost)+len(answer.Locked) > 0 {
			d.complain("touch: lost %v, locked %v", answer.Lost, answer.Locked)
		}
		answer, err = d.exchange(driver.Exchange{Settle: settle})
		if d.ok("settle", err) && len(answer.Lost)+len(answer.Locked) > 0 {
			d.complain("settle: lost %v, locked %v", answer.Lost, answer.Locked)
		}
	}
}

func (d *extremeTest) valid(texts ...string) {
	for _, text := range texts {
		if !utf8.ValidString(text) {
			d.complain("read the text %.60q, which is not valid UTF-8", text)
		}
	}
}

// requeue reserves jobs until soon, and requeues them.
func (d *extremeTest) requeue() {
	good := d.good()
	d.take(good, brief)
	if err := d.poll(func() bool {
		_, err := d.exchange(driver.Exchange{Requeue: 1000})
		if !d.ok("requeue", err) {
			return true
		}
		jobs, err := operator.New(d.q).Jobs(d.ctx, operator.JobFilter{Name: "good", NotReserved: true, Limit: 1000})
		d.ok("jobs", err)
		waiting := 0
		for _, j := range jobs {
			if good[j.ID] {
				waiting++
			}
		}
		return err != nil || waiting == len(good)
	}); err != nil {
		d.complain("the good jobs were not requeued: %w", err)
	}
}

// retry has every failed job run again, and fails some again.
func (d *extremeTest) retry() {
	want := d.rows("failed_jobs")
	n, err := operator.New(d.q).Retry(d.ctx, operator.FailedFilter{})
	var duplicate *sqlqueue.DuplicateError
	if errors.As(err, &duplicate) {
		n, err = n+len(duplicate.Duplicates), nil
	}
	if d.ok("retry", err) && n != want {
		d.complain("%d of %d failed jobs were retried", n, want)
	}
	var settle []driver.Settlement
	for _, j := range d.take(d.good(), keep) {
		settle = append(settle, fail(j, "an error", ""))
	}
	_, err = d.exchange(driver.Exchange{Settle: settle})
	d.ok("fail", err)
}

// operate does what operators do, to every row, and deletes all.
func (d *extremeTest) operate() {
	for _, name := range append(d.queues(), "") {
		d.ok("control", operator.New(d.q).Control(d.ctx, name, operator.ControlChange{Restart: true, Pause: true, PauseFor: time.Hour}))
		d.ok("control", operator.New(d.q).Control(d.ctx, name, operator.ControlChange{Resume: true, ResetExpire: true}))
	}
	d.good()
	jobs := d.jobs()
	for i, j := range jobs {
		if j.Reserved {
			_, err := operator.New(d.q).Release(d.ctx, j.ID)
			d.ok("release", err)
		}
		at, priority, name := time.Now().Add(time.Hour), 5, "edited"
		edit := operator.JobEdit{At: &at, Priority: &priority}
		if i%2 == 0 {
			edit.Name, edit.Data = &name, 1
		}
		d.ok("edit", operator.New(d.q).Edit(d.ctx, j.ID, edit))
	}
	d.lists()
	if len(jobs) > 0 {
		n, err := operator.New(d.q).Cancel(d.ctx, jobs[0].ID)
		if d.ok("cancel", err) && n != 1 {
			d.complain("cancelled %d jobs, want 1", n)
		}
	}
	_, err := operator.New(d.q).CancelAll(d.ctx, operator.JobFilter{})
	d.ok("cancel all", err)
	_, err = operator.New(d.q).ReleaseAll(d.ctx, operator.JobFilter{})
	d.ok("release all", err)
	_, err = operator.New(d.q).Clear(d.ctx, "", true)
	d.ok("clear", err)
	_, err = operator.New(d.q).Forget(d.ctx, operator.FailedFilter{})
	d.ok("forget", err)

	workers, err := operator.New(d.q).Workers(d.ctx)
	d.ok("workers", err)
	for _, w := range workers {
		if w.ID != "" && !strings.ContainsRune(w.ID, utf8.RuneError) {
			d.ok("set concurrency", operator.New(d.q).SetConcurrency(d.ctx, w.ID, 2))
		}
		d.ok("leave", d.q.Beat(d.ctx, driver.Beat{Worker: driver.Worker{ID: w.ID}, Leave: true}))
	}
	d.ok("drop what is old", d.q.Beat(d.ctx, driver.Beat{
		Worker: driver.Worker{ID: "tidying"}, Leave: true, Unseen: time.Microsecond, OldCounts: time.Hour,
	}))
	subscriptions, err := operator.New(d.q).Subscriptions(d.ctx)
	d.ok("subscriptions", err)
	for _, s := range subscriptions {
		d.ok("unsubscribe", operator.New(d.q).Unsubscribe(d.ctx, s.Name))
	}
	for _, table := range []string{"jobs", "failed_jobs", "job_workers", "job_subscriptions"} {
		if n := d.rows(table); n > 0 {
			d.complain("%d rows of %s cannot be deleted", n, table)
		}
	}
}

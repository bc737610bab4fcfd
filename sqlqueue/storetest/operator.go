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

var operatorCases = []testCase{
	{
		"E6 jobs by queue, state, name, time and id, a page at a time",
		"people look for one job among millions",
		listJobs,
	},
	{
		"E6 one job by its id",
		"show",
		func(f *fixture) {
			c := f.open()
			id := c.push(sqlqueue.OnQueue("mail"), sqlqueue.Unique("key"))
			j := c.job(id)
			reserved := c.reserve(1, "mail")[0]
			if j.ID != id || j.UniqueKey != "key" || j.Reserved {
				f.Errorf("got %+v", j)
			}
			f.sameJob(c.job(id), reserved)
			if _, err := operator.New(c.Queue).Job(f.Context(), id+1000); !errors.Is(err, operator.ErrNotFound) {
				f.Errorf("got %v, want ErrNotFound", err)
			}
		},
	},
	{
		"E6 edit: queue, priority, time, name and data, each alone and all at once",
		"a job that was pushed wrongly need not be lost",
		editJobs,
	},
	{
		"E6 an edited job is reserved where it stands now",
		"a job moved to now must not wait until its old time",
		func(f *fixture) {
			producer, worker := f.open(), f.open()
			other := producer.push()
			id := producer.push(sqlqueue.Delay(time.Hour), sqlqueue.Priority(9))
			f.sameIDs(worker.reserve(1, "default"), other)
			now, priority, queue := time.Now().Add(-time.Hour), -9, "high"
			f.must(operator.New(producer.Queue).Edit(f.Context(), id, operator.JobEdit{At: &now}))
			f.sameIDs(worker.reserve(1, "default"), id)

			second := producer.push(sqlqueue.Delay(time.Hour))
			f.must(operator.New(producer.Queue).Edit(f.Context(), second, operator.JobEdit{At: &now, Priority: &priority, Queue: &queue}))
			f.sameIDs(worker.reserve(1, "default", "high"), second)
			f.sameIDs(worker.take(9, "default", "high"))
		},
	},
	{
		"E6 a reserved job is neither edited nor cancelled",
		"its worker is running it with what it was given",
		func(f *fixture) {
			c := f.open()
			c.push()
			j := c.reserve(1, "default")[0]
			before := f.dump()
			priority := 3
			if err := operator.New(f.open().Queue).Edit(f.Context(), j.ID, operator.JobEdit{
				Priority: &priority,
			}); !errors.Is(err, operator.ErrReserved) {
				f.Errorf("edit: got %v, want ErrReserved", err)
			}
			if err := operator.New(c.Queue).Edit(f.Context(), j.ID, operator.JobEdit{Data: 1}); !errors.Is(err, operator.ErrReserved) {
				f.Errorf("edit of the data: got %v, want ErrReserved", err)
			}
			if n, err := operator.New(f.open().Queue).Cancel(f.Context(), j.ID); n != 0 || !errors.Is(err, operator.ErrReserved) {
				f.Errorf("cancel: got %d, %v, want ErrReserved", n, err)
			}
			f.unchanged(before)
			c.settle(done(j))
		},
	},
	{
		"E6 what is not there is ErrNotFound",
		"an operator's list may be old",
		func(f *fixture) {
			c := f.open()
			priority := 3
			_, cancel := operator.New(c.Queue).Cancel(f.Context(), 4711)
			_, release := operator.New(c.Queue).Release(f.Context(), 4711)
			for what, err := range map[string]error{
				"edit":   operator.New(c.Queue).Edit(f.Context(), 4711, operator.JobEdit{Priority: &priority}),
				"cancel": cancel, "release": release,
			} {
				if !errors.Is(err, operator.ErrNotFound) {
					f.Errorf("%s: got %v, want ErrNotFound", what, err)
				}
			}
		},
	},
	{
		"E6 cancel deletes waiting and delayed jobs, and tells of the others",
		"withdraw",
		func(f *fixture) {
			c := f.open()
			reserved := c.push()
			c.reserve(1, "default")
			waiting, delayed, kept := c.push(), c.push(sqlqueue.Delay(time.Hour)), c.push()
			n, err := operator.New(c.Queue).Cancel(f.Context(), delayed, reserved, 1_000_000, waiting)
			if n != 2 || !errors.Is(err, operator.ErrReserved) || !errors.Is(err, operator.ErrNotFound) {
				f.Errorf("cancelled %d, %v; want 2, ErrReserved and ErrNotFound", n, err)
			}
			left, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			f.sameIDs(left, reserved, kept)
		},
	},
	{
		"B4 E6 release by hand: available now, its attempt spent",
		"where expire is off, a dead worker's jobs wait for an operator",
		func(f *fixture) {
			c := f.open()
			waiting := c.push(sqlqueue.Delay(time.Hour))
			c.push()
			j := c.reserveFrom(1, fromFor(0, "default"))[0]
			before := c.now()
			n, err := operator.New(f.open().Queue).Release(f.Context(), j.ID, waiting)
			if n != 1 || !errors.Is(err, operator.ErrNotReserved) {
				f.Errorf("released %d, %v; want 1 and ErrNotReserved", n, err)
			}
			got := c.job(j.ID)
			f.between("available_at", got.AvailableAt, before, c.now())
			if got.Reserved || got.ReservedBy != "" || !got.ReservedAt.IsZero() || got.Attempts != 1 || !got.CreatedAt.Equal(j.CreatedAt) {
				f.Errorf("released: %+v", got)
			}
			f.sameIDs(c.reserve(1, "default"), j.ID)
		},
	},
	{
		"E8 clear: a queue or all, with the reserved ones or without",
		"a queue that was filled by mistake",
		func(f *fixture) {
			c := f.open()
			c.pushMany(1, sqlqueue.OnQueue("mail"))
			running := c.reserve(1, "mail")
			c.pushMany(1020, sqlqueue.OnQueue("mail"))
			c.push(sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Hour))
			other := c.push(sqlqueue.OnQueue("sms"))
			if n, err := operator.New(c.Queue).Clear(f.Context(), "mail", false); n != 1021 || err != nil {
				f.Errorf("cleared %d, %v; want 1021", n, err)
			}
			left, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			f.sameIDs(left, running[0].ID, other)
			if n, err := operator.New(c.Queue).Clear(f.Context(), "mail", true); n != 1 || err != nil {
				f.Errorf("cleared %d, %v; want 1", n, err)
			}
			if n, err := operator.New(c.Queue).Clear(f.Context(), "", true); n != 1 || err != nil {
				f.Errorf("cleared %d, %v; want 1", n, err)
			}
			f.empty()
		},
	},
	{
		"E5 queues: what each holds, and since when the oldest waits",
		"the first thing that an operator looks at",
		countQueues,
	},
	{
		"D7 D14 a worker's row: written, kept, told",
		"people ask who runs, where, since when",
		func(f *fixture) {
			c, other := f.open(), f.open()
			w := driver.Worker{
				ID: c.worker, Name: "mailer 🎉", Host: "host-1.example",
				PID: 4711, Queues: []string{"high", "default", "队列"}, Concurrency: 10,
			}
			before := c.now()
			c.beat(driver.Beat{Worker: w})
			after := c.now()
			read := func() driver.Worker {
				f.Helper()
				all, err := operator.New(other.Queue).Workers(f.Context())
				f.must(err)
				i := slices.IndexFunc(all, func(w operator.Worker) bool { return w.ID == c.worker })
				if i < 0 {
					f.Fatalf("no row of worker %s in %+v", c.worker, all)
				}
				return all[i].Worker
			}
			first := read()
			f.between("started_at", first.StartedAt, before, after)
			f.between("seen_at", first.SeenAt, before, after)
			same := func(got driver.Worker) {
				f.Helper()
				if got.Name != w.Name || got.Host != w.Host || got.PID != w.PID || got.Concurrency != w.Concurrency ||
					!slices.Equal(got.Queues, w.Queues) {
					f.Errorf("got %+v, want %+v", got, w)
				}
			}
			same(first)
			f.eventually("the worker is seen again", func() bool {
				c.beat(driver.Beat{Worker: w})
				return read().SeenAt.After(first.SeenAt)
			})
			if got := read(); !got.StartedAt.Equal(first.StartedAt) {
				f.Errorf("started_at moved from %v to %v", first.StartedAt, got.StartedAt)
			}
			w.Concurrency = 20
			c.beat(driver.Beat{Worker: w})
			same(read())
			second := driver.Worker{ID: other.worker, Queues: []string{"default"}, Concurrency: 1}
			other.beat(driver.Beat{Worker: second})
			all, err := operator.New(c.Queue).Workers(f.Context())
			if err != nil || len(all) != 2 || all[0].ID != c.worker || all[1].ID != other.worker {
				f.Errorf("workers are %+v, %v; want two, by start", all, err)
			}
		},
	},
	{
		"E7 a worker that leaves has no row, and rows of those that died are removed by the others",
		"who looks for the workers wants to see those that run",
		func(f *fixture) {
			c, other := f.open(), f.open()
			mine := driver.Beat{Worker: driver.Worker{ID: c.worker, Queues: []string{"default"}, Concurrency: 1}}
			its := driver.Beat{Worker: driver.Worker{ID: other.worker, Queues: []string{"default"}, Concurrency: 1}}
			rows := func() (ids []string) {
				all, err := operator.New(c.Queue).Workers(f.Context())
				f.must(err)
				for _, w := range all {
					ids = append(ids, w.ID)
				}
				return ids
			}
			c.beat(mine)
			other.beat(its)
			its.Leave = true
			other.beat(its)
			other.beat(its) // also where there is none
			if got := rows(); !slices.Equal(got, []string{c.worker}) {
				f.Fatalf("after one has left there are the workers %v, want %s", got, c.worker)
			}
			its.Leave, its.Unseen = false, time.Hour
			other.beat(its)
			if got := rows(); len(got) != 2 {
				f.Fatalf("there are the workers %v: one that was seen within the hour is gone", got)
			}
			f.eventually("the worker that is not seen any more is gone, and the other is not", func() bool {
				its.Unseen = time.Second
				other.beat(its)
				return slices.Equal(rows(), []string{other.worker})
			})
		},
	},
	{
		"E7 the concurrency that an operator wants reaches its worker, and no other",
		"a running worker is made wider or narrower",
		func(f *fixture) {
			c, other := f.open(), f.open()
			wanted := func(c *client) int { return c.exchange(driver.Exchange{Number: c.number()}).WantedConcurrency }
			c.beat(driver.Beat{})
			if n := wanted(c); n != 0 {
				f.Errorf("wanted concurrency is %d before anybody wanted it", n)
			}
			other.beat(driver.Beat{})
			f.must(operator.New(c.Queue).SetConcurrency(f.Context(), c.worker, 3))
			f.must(operator.New(c.Queue).SetConcurrency(f.Context(), c.worker, 3)) // MySQL counts no row that stays as it is
			for range 2 {
				if n := wanted(c); n != 3 {
					f.Errorf("wanted concurrency is %d, want 3", n)
				}
				idle := driver.Exchange{Number: c.number(), Limit: 1, Reserve: from("default")}
				if n := c.exchange(idle).WantedConcurrency; n != 3 {
					f.Errorf("while it reserves, wanted concurrency is %d, want 3", n)
				}
				if n := wanted(other); n != 0 {
					f.Errorf("another worker's wanted concurrency is %d", n)
				}
				c.beat(driver.Beat{}) // keeps it
			}
			f.must(operator.New(c.Queue).SetConcurrency(f.Context(), c.worker, 0))
			if n := wanted(c); n != 0 {
				f.Errorf("wanted concurrency is %d after it was taken back", n)
			}
			if err := operator.New(c.Queue).SetConcurrency(f.Context(), "nobody", 3); !errors.Is(err, operator.ErrNoWorker) {
				f.Errorf("of a worker that is not there: %v", err)
			}
		},
	},
	{
		"an operator may touch everything while workers work",
		"a deadlock would fail the operator, or the worker",
		operateWhileWorking,
	},
}

func listJobs(f *fixture) {
	c := f.open()
	var ids []int64
	for i := range 8 {
		id, err := c.Push(f.Context(), sqlqueue.Named(fmt.Sprintf("name%d", i%2), nil), sqlqueue.OnQueue([]string{"mail", "sms"}[i/4]),
			sqlqueue.Priority(10-i), sqlqueue.Delay(time.Duration(i%4)/2*time.Hour))
		f.must(err)
		ids = append(ids, id)
	}
	reserved := c.reserve(1, "mail")[0] // the lower priority: ids[1]
	f.sameIDs([]sqlqueue.Job{reserved}, ids[1])
	created := c.job(ids[5]).CreatedAt
	for _, test := range []struct {
		filter operator.JobFilter
		want   []int // places in ids
	}{
		{operator.JobFilter{}, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{operator.JobFilter{Queue: "mail"}, []int{0, 1, 2, 3}},
		{operator.JobFilter{Queue: "MAIL"}, nil},
		{operator.JobFilter{State: operator.Ready}, []int{0, 4, 5}},
		{operator.JobFilter{State: operator.Delayed}, []int{2, 3, 6, 7}},
		{operator.JobFilter{State: operator.Reserved}, []int{1}},
		{operator.JobFilter{NotReserved: true}, []int{0, 2, 3, 4, 5, 6, 7}},
		{operator.JobFilter{NotReserved: true, State: operator.Reserved}, nil},
		{operator.JobFilter{Name: "name1"}, []int{1, 3, 5, 7}},
		{operator.JobFilter{Name: "name"}, nil},
		{operator.JobFilter{Name: "NAME1"}, nil},
		{operator.JobFilter{Queue: "sms", State: operator.Delayed, Name: "name1"}, []int{7}},
		{operator.JobFilter{CreatedBefore: created, Limit: 5}, []int{0, 1, 2, 3, 4}},
		{operator.JobFilter{CreatedAfter: created, After: ids[4]}, []int{5, 6, 7}},
		{operator.JobFilter{CreatedAfter: created.Add(time.Hour)}, nil},
		{operator.JobFilter{CreatedBefore: created.Add(-time.Hour)}, nil},
		{operator.JobFilter{IDs: []int64{ids[6], ids[2], ids[7] + 1000}}, []int{2, 6}},
		{operator.JobFilter{IDs: []int64{}}, nil},
		{operator.JobFilter{IDs: ids, Queue: "sms"}, []int{4, 5, 6, 7}},
		{operator.JobFilter{Limit: 3}, []int{0, 1, 2}},
		{operator.JobFilter{Limit: 3, After: ids[2]}, []int{3, 4, 5}},
		{operator.JobFilter{Limit: 3, After: ids[5]}, []int{6, 7}},
		{operator.JobFilter{Limit: 3, After: ids[7]}, nil},
		{operator.JobFilter{Name: "name0", Limit: 2, After: ids[0]}, []int{2, 4}},
	} {
		jobs, err := operator.New(c.Queue).Jobs(f.Context(), test.filter)
		f.must(err)
		var want []int64
		for _, i := range test.want {
			want = append(want, ids[i])
		}
		if got := idsOf(jobs); !slices.Equal(got, want) {
			f.Errorf("%+v: got %v, want %v", test.filter, got, want)
		}
	}
}

func editJobs(f *fixture) {
	c := f.open()
	id, err := c.Push(f.Context(), sqlqueue.Named("wrong", 1), sqlqueue.Tries(7), sqlqueue.Unique("key"))
	f.must(err)
	want := c.job(id)
	queue, priority, name, at := "other", -8, "right", time.Date(2050, 6, 7, 8, 9, 10, 11000, time.UTC)
	edit := func(e operator.JobEdit) {
		f.Helper()
		f.must(operator.New(c.Queue).Edit(f.Context(), id, e))
		f.sameJob(c.job(id), want)
	}
	edit(operator.JobEdit{})
	want.Priority = -8
	edit(operator.JobEdit{Priority: &priority})
	want.Queue = queue
	edit(operator.JobEdit{Queue: &queue})
	want.AvailableAt = at
	edit(operator.JobEdit{At: &at})
	want.Payload = []byte(`{"job":"right","data":1,"tries":7}`)
	edit(operator.JobEdit{Name: &name})
	want.Payload = []byte(`{"job":"right","data":{"text":"it's 🎉"},"tries":7}`)
	edit(operator.JobEdit{Data: map[string]string{"text": "it's 🎉"}})

	queue, priority, name, at = "default", 12, "new", time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	want.Queue, want.Priority, want.AvailableAt, want.Payload = queue, 12, at, []byte(`{"job":"new","data":[],"tries":7}`)
	edit(operator.JobEdit{Queue: &queue, Priority: &priority, At: &at, Name: &name, Data: []int{}})
	f.sameIDs(c.reserve(1, "default"), id)
}

func countQueues(f *fixture) {
	c := f.open()
	c.pushMany(5, sqlqueue.OnQueue("mail"))
	c.reserve(2, "mail")
	c.pushMany(4, sqlqueue.OnQueue("mail"), sqlqueue.Delay(time.Hour))
	c.pushMany(2, sqlqueue.OnQueue("late"), sqlqueue.Delay(time.Hour))
	f.failOne(c, "job", "broken")
	f.failOne(c, "job", "broken")
	f.must(operator.New(c.Queue).Control(f.Context(), "silent", operator.ControlChange{Pause: true}))
	oldest := time.Date(2010, 1, 1, 0, 0, 0, 123456000, time.UTC)
	c.push(sqlqueue.OnQueue("old"), sqlqueue.At(oldest))
	c.push(sqlqueue.OnQueue("old"))
	first, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{Queue: "mail", State: operator.Ready})
	f.must(err)

	got, err := operator.New(f.open().Queue).Queues(f.Context(), 0)
	f.must(err)
	want := []operator.QueueInfo{
		{Queue: "broken", Failed: 2},
		{Queue: "late", Delayed: 2},
		{Queue: "mail", Ready: 3, Reserved: 2, Delayed: 4, Oldest: first[0].AvailableAt},
		{Queue: "old", Ready: 2, Oldest: oldest},
		{Queue: "silent"},
	}
	if len(got) != len(want) {
		f.Fatalf("got %+v, want %+v", got, want)
	}
	for i, w := range want {
		g := got[i]
		if g.Queue != w.Queue || g.Ready != w.Ready || g.Delayed != w.Delayed || g.Reserved != w.Reserved || g.Failed != w.Failed ||
			!g.Oldest.Equal(w.Oldest) {
			f.Errorf("got %+v, want %+v", g, w)
		}
		if g.Control.Queue != w.Queue || g.Control.Paused != (w.Queue == "silent") {
			f.Errorf("queue %s has control %+v", w.Queue, g.Control)
		}
	}
}

// operateWhileWorking lists, counts, cancels, edits, releases, retries and forgets while workers settle and reserve.
func operateWhileWorking(f *fixture) {
	const jobs, workers = 240, 4
	producer, admin := f.open(), f.open()
	producer.pushMany(jobs)
	finished := make(chan struct{}, workers)
	for w := range workers {
		c := f.open()
		go func() {
			defer func() { finished <- struct{}{} }()
			var settle []driver.Settlement
			for round := 0; round < 40; round++ {
				answer, err := c.Exchange(f.Context(), driver.Exchange{
					Settle: settle, Number: c.number(), Limit: 4, Reserve: from("default"), Requeue: 10,
				})
				if err != nil {
					f.Errorf("worker %d: %v", w, err)
					return
				}
				settle = settle[:0]
				for i, j := range answer.Reserved {
					switch (i + round) % 4 {
					case 0:
						settle = append(settle, done(j))
					case 1:
						settle = append(settle, fail(j, "no", ""))
					default:
						settle = append(settle, putBack(j, 0))
					}
				}
			}
		}()
	}
	expected := func(err error) {
		var duplicate *sqlqueue.DuplicateError
		switch {
		case err == nil, errors.Is(err, operator.ErrNotFound), errors.Is(err, operator.ErrReserved),
			errors.Is(err, operator.ErrNotReserved),
			errors.As(err, &duplicate):
		default:
			f.Errorf("operator: %v", err)
		}
	}
	ctx := f.Context()
	for turn := 0; len(finished) < workers; turn++ {
		page, err := operator.New(admin.Queue).Jobs(ctx, operator.JobFilter{Limit: 20, After: int64(turn % jobs)})
		expected(err)
		ids := idsOf(page)
		slices.Reverse(ids)
		switch turn % 6 {
		case 0:
			_, err = operator.New(admin.Queue).Release(ctx, ids...)
		case 1:
			_, err = operator.New(admin.Queue).Cancel(ctx, ids[:min(1, len(ids))]...)
		case 2:
			_, err = operator.New(admin.Queue).Queues(ctx, 0)
		case 3:
			_, err = operator.New(admin.Queue).Retry(ctx, operator.FailedFilter{})
		case 4:
			_, err = operator.New(admin.Queue).Forget(ctx, operator.FailedFilter{OlderThan: time.Hour})
		default:
			priority := turn % 2
			for _, id := range ids[:min(3, len(ids))] {
				expected(operator.New(admin.Queue).Edit(ctx, id, operator.JobEdit{Priority: &priority}))
			}
		}
		expected(err)
	}
}

package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var boundsCases = []testCase{
	{
		"a reserve is bounded by the bytes of its payloads",
		"a worker must be able to hold, and to receive in time, what it reserves",
		func(f *fixture) {
			c := f.open()
			var ids []int64
			size := 0
			for range 6 {
				id, err := c.Push(f.Context(), sqlqueue.Named("job", strings.Repeat("é", 5000)))
				f.must(err)
				ids = append(ids, id)
				size = len(c.job(id).Payload)
			}
			take := func(bytes int) []sqlqueue.Job {
				f.Helper()
				jobs := c.exchange(driver.Exchange{
					Limit: 10, Bytes: int64(bytes), Reserve: from("empty", "default"), Everything: true,
				}).Reserved
				for _, j := range jobs {
					c.settle(done(j))
				}
				return jobs
			}
			f.sameIDs(take(1), ids[0])
			f.sameIDs(take(2*size), ids[1], ids[2])
			f.sameIDs(take(2*size-1), ids[3])
			f.sameIDs(take(1<<40), ids[4], ids[5])
		},
	},
	{
		"the bound of bytes holds for all queues and priorities of a reserve together",
		"each lane is reserved from by itself",
		func(f *fixture) {
			c := f.open()
			data := strings.Repeat("x", 1000)
			var ids []int64
			for _, queue := range []string{"first", "second"} {
				for _, priority := range []int{-1, 0} {
					id, err := c.Push(f.Context(), sqlqueue.Named("job", data), sqlqueue.OnQueue(queue), sqlqueue.Priority(priority))
					f.must(err)
					ids = append(ids, id)
				}
			}
			size := int64(len(c.job(ids[0]).Payload))
			reserve := func() []sqlqueue.Job {
				return c.exchange(driver.Exchange{Limit: 10, Bytes: 3 * size, Reserve: from("first", "second"), Everything: true}).Reserved
			}
			f.sameIDs(reserve(), ids[:3]...)
			f.sameIDs(reserve(), ids[3])
		},
	},
	{
		"a look at everything finds what was pushed into the past, and the answer says that it did",
		"a worker that stops when nothing is left must not leave anything",
		func(f *fixture) {
			c, other := f.open(), f.open()
			for range 3 {
				c.pushMany(5)
				for _, j := range c.reserve(5, "default") {
					c.settle(done(j))
				}
			}
			past := sqlqueue.At(c.now().AddDate(-1, 0, 0))
			for _, option := range []sqlqueue.PushOption{sqlqueue.Priority(0), sqlqueue.Priority(-7), sqlqueue.Priority(7)} {
				id := other.push(past, option)
				answer := c.exchange(driver.Exchange{Limit: 5, Reserve: from("default"), Everything: true})
				if !answer.Everything {
					f.Error("the answer does not say that everything was looked at")
				}
				f.sameIDs(answer.Reserved, id)
				c.settle(done(answer.Reserved[0]))
			}
			if answer := c.exchange(driver.Exchange{Limit: 5, Reserve: from("default"), Everything: true}); !answer.Everything ||
				len(answer.Reserved) > 0 {
				f.Errorf("with nothing left the answer is %+v", answer)
			}
		},
	},
	{
		"a worker may have ten thousand queues",
		"one queue for each customer must not end their worker",
		func(f *fixture) {
			c := f.open()
			queues := make([]string, 10_000)
			for i := range queues {
				queues[i] = fmt.Sprintf("customer-%d", i)
			}
			for range 2 { // insert, then update
				c.beat(driver.Beat{Worker: driver.Worker{ID: c.worker, Queues: queues, Concurrency: 1}})
			}
			workers, err := operator.New(c.Queue).Workers(f.Context())
			f.must(err)
			if n := len(workers[0].Queues); n < 1_000 || !slices.Equal(workers[0].Queues, queues[:n]) {
				f.Errorf("the worker's row lists %d queues, and not the first ones", n)
			}
		},
	},
	{
		"a list of jobs can read the start of their payloads only",
		"a table of a thousand large jobs must fit the memory",
		func(f *fixture) {
			c := f.open()
			long, err := c.Push(f.Context(), sqlqueue.Named("job", strings.Repeat("é", 5000)))
			f.must(err)
			if _, err := f.db.SQL.ExecContext(f.Context(), f.sql("INSERT INTO {jobs} (payload) VALUES (?)"),
				[]byte(`{"job":"bytes","data":"`+strings.Repeat("é", 5000)+`"}`)); err == nil {
				f.inserted()
			} else {
				f.Logf("a payload that is bound as bytes is refused: %v", err)
			}
			short := c.push()
			whole := map[int64]string{}
			for _, j := range f.allJobs(c) {
				whole[j.ID] = string(j.Payload)
			}
			for _, most := range []int{0, 1, 100, 1000, 100_000} {
				jobs, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{PayloadMax: most})
				f.must(err)
				if len(jobs) != len(whole) || jobs[0].ID != long || jobs[len(jobs)-1].ID != short {
					f.Errorf("got the jobs %v, want %d", idsOf(jobs), len(whole))
				}
				for _, j := range jobs {
					want := []rune(whole[j.ID])
					if most > 0 {
						want = want[:min(most, len(want))]
					}
					if string(j.Payload) != string(want) {
						f.Errorf("at most %d characters: got %d bytes, %.40q", most, len(j.Payload), j.Payload)
					}
				}
			}
			if _, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{PayloadMax: -1}); err == nil {
				f.Error("a negative length was taken")
			}
		},
	},
	{
		"a list of failed jobs can read the start of their payloads, errors and stacks only",
		"a table of a thousand large failed jobs must fit the memory",
		func(f *fixture) {
			c := f.open()
			long := strings.Repeat("é", 5000)
			_, err := c.Push(f.Context(), sqlqueue.Named("job", long))
			f.must(err)
			c.settle(fail(c.reserve(1, "default")[0], "error"+long, "stack"+long))
			whole := c.failedJobs()[0]
			for _, most := range []int{0, 1, 100, 100_000} {
				start := func(text string) string {
					runes := []rune(text)
					if most > 0 {
						runes = runes[:min(most, len(runes))]
					}
					return string(runes)
				}
				jobs, err := operator.New(c.Queue).FailedJobs(f.Context(), operator.FailedFilter{TextMax: most})
				f.must(err)
				if len(jobs) != 1 {
					f.Fatalf("got %d failed jobs, want 1", len(jobs))
				}
				j := jobs[0]
				if string(j.Payload) != start(string(whole.Payload)) || j.Error != start(whole.Error) || j.Stack != start(whole.Stack) {
					f.Errorf("at most %d characters: got %d, %d and %d bytes", most, len(j.Payload), len(j.Error), len(j.Stack))
				}
			}
			if _, err := operator.New(c.Queue).FailedJobs(f.Context(), operator.FailedFilter{TextMax: -1}); err == nil {
				f.Error("a negative length was taken")
			}
		},
	},
	{
		"an outcome that is none is refused, and nothing happened",
		"a forgotten outcome must not delete a job",
		func(f *fixture) {
			c := f.open()
			c.pushMany(2)
			jobs := c.reserve(2, "default")
			before := f.dump()
			for _, outcome := range []driver.Outcome{0, -1, 99} {
				settle := []driver.Settlement{done(jobs[0]), {Reservation: jobs[1].Reservation(), Outcome: outcome}}
				if _, err := c.Exchange(f.Context(), driver.Exchange{Settle: settle}); err == nil {
					f.Errorf("the outcome %d was taken", outcome)
				}
				f.unchanged(before)
			}
		},
	},
}

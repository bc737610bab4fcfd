package storetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// lanes is more than one exchange asks: one priority of one queue each.
const lanes = 2500

var laneCases = []testCase{
	{
		"thousands of priorities in one queue come in their order, some in each exchange",
		"a customer's number as the priority must not stop the queue",
		func(f *fixture) {
			f.long()
			producer := f.open()
			jobs := make([]sqlqueue.Pushable, lanes)
			for i, priority := range rand.Perm(lanes) {
				jobs[i] = sqlqueue.With(sqlqueue.Named("job", nil), sqlqueue.OnQueue("mail"), sqlqueue.Priority(priority-lanes/2))
			}
			_, err := producer.PushMany(f.Context(), jobs)
			f.must(err)
			got := f.open().drain(400, from("mail"))
			for i, j := range got {
				if want := i - lanes/2; int(j.Priority) != want {
					f.Fatalf("job %d has the priority %d, want %d", i, j.Priority, want)
				}
			}
		},
	},
	{
		"thousands of queues by name are served in their order, some in each exchange",
		"a queue for each customer, listed by a program",
		func(f *fixture) {
			f.long()
			producer := f.open()
			queues, jobs := manyQueues(), make([]sqlqueue.Pushable, lanes)
			for i, queue := range rand.Perm(lanes) {
				jobs[i] = sqlqueue.With(sqlqueue.Named("job", nil), sqlqueue.OnQueue(queues[queue]))
			}
			_, err := producer.PushMany(f.Context(), jobs)
			f.must(err)
			worker := f.open()
			for i, j := range worker.drain(400, from(queues...)) {
				if j.Queue != queues[i] {
					f.Fatalf("job %d is of queue %s, want %s", i, j.Queue, queues[i])
				}
			}
			for _, i := range []int{0, lanes / 2, lanes - 1} {
				id := producer.push(sqlqueue.OnQueue(queues[i]))
				f.sameIDs(worker.find(1, from(queues...)), id)
			}
		},
	},
	{
		"a job behind thousands of priorities of which none is due is found",
		"delayed jobs of other priorities must not hide it",
		func(f *fixture) {
			f.long()
			producer := f.open()
			jobs := make([]sqlqueue.Pushable, lanes)
			for i := range jobs {
				jobs[i] = sqlqueue.With(sqlqueue.Named("job", nil), sqlqueue.Priority(i), sqlqueue.Delay(time.Hour))
			}
			_, err := producer.PushMany(f.Context(), jobs)
			f.must(err)
			id := producer.push(sqlqueue.Priority(lanes))
			f.sameIDs(f.open().find(1, from("default")), id)
			answer := f.open().exchange(driver.Exchange{Limit: 1, Reserve: from("default"), Everything: true})
			if len(answer.Reserved) > 0 || !answer.Everything {
				f.Errorf("of nothing that is due, asked for everything: reserved %d, everything %v",
					len(answer.Reserved), answer.Everything)
			}
		},
	},
	{
		"a job that is released behind the place where exchanges go on is found",
		"who has looked at all of thousands of queues begins again if anything has changed meanwhile",
		func(f *fixture) {
			f.long()
			queues := manyQueues()
			f.open().push(sqlqueue.OnQueue(queues[0]))
			worker := f.open()
			first := worker.find(1, from(queues...))
			answer := worker.exchange(driver.Exchange{Limit: 10, Reserve: from(queues...)})
			if len(answer.Reserved) > 0 || answer.NextDue.After(answer.Now) || answer.NextDue.IsZero() {
				f.Fatalf("an exchange that has asked a part of the queues is to be repeated at once: %+v", answer)
			}
			// Settled by itself, as a worker without a free slot does.
			worker.settle(putBack(first[0], 0))
			f.sameIDs(worker.find(10, from(queues...)), first[0].ID)
		},
	},
	{
		"each of thousands of queues has its own expire",
		"expire can be set per queue",
		func(f *fixture) {
			f.long()
			queues := manyQueues()
			reserve := from(queues...)
			reserve[lanes-1].Expire = time.Minute
			reserve[lanes-2].Expire = 0
			producer := f.open()
			for _, queue := range queues[lanes-3:] {
				producer.push(sqlqueue.OnQueue(queue))
			}
			for i, j := range f.open().drainN(3, 10, reserve) {
				want := reserve[lanes-3+i].Expire
				if got := j.ExpiresAt.Sub(j.ReservedAt).Round(time.Second); want > 0 && got != want || want == 0 && !j.ExpiresAt.IsZero() {
					f.Errorf("a reservation of %s expires at %v, reserved at %v, want after %v", j.Queue, j.ExpiresAt, j.ReservedAt, want)
				}
			}
		},
	},
	{
		"the pause of one of thousands of queues holds at once",
		"what operators say is remembered for a moment if there are many queues, and a pause must not be late for that",
		func(f *fixture) {
			f.long()
			queues := manyQueues()
			worker := f.open()
			worker.find(0, from(queues...))
			worker.push(sqlqueue.OnQueue(queues[lanes/2]))
			f.exec("INSERT INTO {job_queues} (queue, paused) VALUES (?, ?)", queues[lanes/2], true)
			id := worker.push(sqlqueue.OnQueue(queues[lanes-1]))
			f.sameIDs(worker.find(10, from(queues...)), id)
		},
	},
}

func manyQueues() []string {
	queues := make([]string, lanes)
	for i, n := range rand.Perm(lanes) {
		queues[i] = fmt.Sprintf("customer%d", n)
	}
	return queues
}

// drain reserves the jobs of all lanes, up to limit in each exchange, and deletes them. It is an error if an exchange finds fewer, and does
// not say that there are more.
func (c *client) drain(limit int, reserve []driver.Reserve) []sqlqueue.Job {
	c.f.Helper()
	return c.drainN(lanes, limit, reserve)
}

func (c *client) drainN(n, limit int, reserve []driver.Reserve) (jobs []sqlqueue.Job) {
	c.f.Helper()
	for exchanges := 1; len(jobs) < n; exchanges++ {
		answer := c.exchange(driver.Exchange{Limit: limit, Reserve: reserve})
		jobs = append(jobs, answer.Reserved...)
		var settle []driver.Settlement
		for _, j := range answer.Reserved {
			settle = append(settle, done(j))
		}
		c.settle(settle...)
		if len(jobs) < n && len(answer.Reserved) < limit && (answer.NextDue.IsZero() || answer.NextDue.After(answer.Now)) ||
			exchanges > lanes {
			c.f.Fatalf("exchange %d says that no more jobs are due, or brings none, after %d of %d", exchanges, len(jobs), n)
		}
	}
	return jobs
}

// find asks until jobs are found, or an exchange does not say that there are lanes that were not asked.
func (c *client) find(limit int, reserve []driver.Reserve) []sqlqueue.Job {
	c.f.Helper()
	for range lanes {
		answer := c.exchange(driver.Exchange{Limit: max(limit, 1), Reserve: reserve})
		if len(answer.Reserved) > 0 || answer.NextDue.IsZero() || answer.NextDue.After(answer.Now) {
			return answer.Reserved
		}
	}
	c.f.Fatalf("%d exchanges have found nothing, and each asks for another", lanes)
	return nil
}

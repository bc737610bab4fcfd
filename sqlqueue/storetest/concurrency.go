package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const (
	workers     = 16
	processes   = 4 // clients that the workers share
	jobsForAll  = 2000
	jobsInMixed = 1000
)

var concurrencyCases = []testCase{
	{
		"B1 sixteen workers drain a queue: every job is given once",
		"two workers never get the same reservation, on any engine, even one that ignores SKIP LOCKED",
		func(f *fixture) {
			cs := f.openProcesses()
			cs[0].pushMany(jobsForAll)
			var given atomic.Int64
			f.work(cs, func(next func(driver.Exchange) driver.Exchanged) {
				var settle []driver.Settlement
				for given.Load() < jobsForAll || len(settle) > 0 {
					answer := next(driver.Exchange{Settle: settle, Requeue: 50, Limit: 20, Reserve: from("default")})
					settle = f.again(answer.Locked, settle)
					for _, j := range answer.Reserved {
						settle = append(settle, done(j))
					}
					given.Add(int64(len(answer.Reserved)))
				}
			})
			if n := given.Load(); n != jobsForAll {
				f.Errorf("%d reservations of %d jobs", n, jobsForAll)
			}
			f.empty()
		},
	},
	{
		"B1 B3 B5 C2 sixteen workers do everything at once, and all jobs are settled in the end",
		"every outcome, heartbeat, expiry and give-back meets every other",
		mixEverything,
	},
	{
		"B1 pushes and reservations at once: everything pushed is worked, once",
		"producers and workers never stand still",
		func(f *fixture) {
			const producers, each, batch = 4, 8, 15
			cs := f.openProcesses()
			var pushed, given atomic.Int64
			var all sync.WaitGroup
			for p := range producers {
				all.Go(func() {
					for i := range each {
						jobs := make([]sqlqueue.Pushable, batch)
						for k := range jobs {
							jobs[k] = sqlqueue.Named("job", k)
						}
						ids, err := cs[p%processes].PushMany(f.Context(), jobs, sqlqueue.OnQueue(fmt.Sprint("q", i%2)),
							sqlqueue.Priority(i%3))
						if err != nil {
							f.Errorf("producer: %v", err)
							return
						}
						pushed.Add(int64(len(ids)))
					}
				})
			}
			const total = producers * each * batch
			f.work(cs, func(next func(driver.Exchange) driver.Exchanged) {
				var settle []driver.Settlement
				for given.Load() < total || len(settle) > 0 {
					answer := next(driver.Exchange{Settle: settle, Limit: 7, Reserve: from("q0", "q1")})
					settle = f.again(answer.Locked, settle)
					for _, j := range answer.Reserved {
						settle = append(settle, done(j))
					}
					given.Add(int64(len(answer.Reserved)))
				}
			})
			all.Wait()
			if n := given.Load(); n != total || pushed.Load() != total {
				f.Errorf("pushed %d, reserved %d, want %d", pushed.Load(), n, total)
			}
			f.empty()
		},
	},
	{
		"B5 workers settle the same reservations at once: one of them is believed",
		"an answer that never came is repeated while the first is still under way",
		func(f *fixture) {
			cs := f.openProcesses()
			for range 10 {
				cs[0].pushMany(10)
				jobs := cs[0].reserve(10, "default")
				var accepted atomic.Int64
				var all sync.WaitGroup
				for w := range 2 * processes {
					all.Go(func() {
						var settle []driver.Settlement
						for i, j := range jobs {
							settle = append(settle, []driver.Settlement{
								done(j), putBack(j, time.Hour), fail(j, "no", ""), giveBack(j),
							}[(i+w)%4])
						}
						for len(settle) > 0 {
							answer, err := cs[w%processes].Exchange(f.Context(), driver.Exchange{Settle: settle})
							if err != nil {
								f.Errorf("settle: %v", err)
								return
							}
							accepted.Add(int64(len(settle) - len(answer.Lost) - len(answer.Locked)))
							settle = f.again(answer.Locked, settle)
						}
					})
				}
				all.Wait()
				if n := accepted.Load(); n != 10 {
					f.Errorf("%d settlements of 10 reservations were accepted", n)
				}
				if _, err := operator.New(cs[0].Queue).Clear(f.Context(), "", true); err != nil {
					f.Error(err)
				}
			}
		},
	},
}

// mixEverything lets workers delete, release, give back, fail, touch, forget and abandon at random, with expiries that pass and ones
// that do not, until every job is deleted or has failed.
func mixEverything(f *fixture) {
	cs := f.openProcesses()
	cs[0].pushMany(jobsInMixed/2, sqlqueue.OnQueue("mail"))
	cs[1].pushMany(jobsInMixed/4, sqlqueue.OnQueue("sms"), sqlqueue.Priority(3))
	cs[2].pushMany(jobsInMixed/4, sqlqueue.OnQueue("sms"), sqlqueue.Priority(-3), sqlqueue.Delay(brief))
	var deleted, failures atomic.Int64
	open := func() bool { return deleted.Load()+failures.Load() < jobsInMixed }
	var seed atomic.Uint64
	f.work(cs, func(next func(driver.Exchange) driver.Exchanged) {
		random := rand.New(rand.NewPCG(seed.Add(1), 7))
		queues := []string{"mail", "sms"}
		if random.IntN(2) == 0 {
			slices.Reverse(queues)
		}
		var settle []driver.Settlement
		var kept []sqlqueue.Job
		var abandoned []string
		for open() || len(settle)+len(kept) > 0 {
			x := driver.Exchange{Settle: settle, Abandoned: abandoned, Requeue: 20, Limit: 1 + random.IntN(20), Reserve: from(queues...)}
			if random.IntN(4) == 0 {
				x.Reserve = fromFor(5*time.Millisecond, queues...)
			}
			for _, j := range kept {
				x.Touch = append(x.Touch, touch(j, keep))
			}
			answer := next(x)
			ended := map[sqlqueue.Reservation]bool{}
			for _, r := range answer.Lost {
				ended[r] = true
			}
			for _, r := range answer.Locked {
				ended[r] = true
			}
			for _, s := range settle {
				switch {
				case ended[s.Reservation]:
				case s.Outcome == driver.Delete:
					deleted.Add(1)
				case s.Outcome == driver.Fail:
					failures.Add(1)
				}
			}
			settle = f.again(answer.Locked, settle)
			locked := map[sqlqueue.Reservation]bool{}
			for _, r := range answer.Locked {
				locked[r] = true
			}
			still := kept[:0:0]
			for _, j := range kept {
				switch {
				case locked[j.Reservation()]:
					still = append(still, j)
				case !ended[j.Reservation()]:
					settle = append(settle, done(j))
				}
			}
			kept = still
			if random.IntN(10) == 0 && len(answer.Reserved) > 0 {
				abandoned = append(abandoned, answer.Reserved[0].ReservedBy) // and told again and again: a row may be locked
				continue
			}
			for _, j := range answer.Reserved {
				switch n := random.IntN(100); {
				case n < 50:
					settle = append(settle, done(j))
				case n < 60:
					settle = append(settle, putBack(j, time.Duration(random.IntN(20))*time.Millisecond))
				case n < 70:
					settle = append(settle, giveBack(j))
				case n < 80:
					settle = append(settle, fail(j, "no", "where"))
				case n < 95 || !j.ExpiresAt.Before(j.ReservedAt.Add(time.Second)):
					kept = append(kept, j)
				default: // its worker dies
				}
			}
			random.Shuffle(len(settle), func(i, k int) { settle[i], settle[k] = settle[k], settle[i] })
		}
	})
	f.empty()
	if n := f.count("SELECT count(*) FROM {failed_jobs}"); int64(n) != failures.Load() || deleted.Load()+failures.Load() != jobsInMixed {
		f.Errorf("%d failed jobs; %d were failed and %d deleted of %d", n, failures.Load(), deleted.Load(), jobsInMixed)
	}
}

func (f *fixture) openProcesses() []*client {
	f.Helper()
	cs := make([]*client, processes)
	for i := range cs {
		cs[i] = f.open()
	}
	return cs
}

// work runs the workers. Next is an exchange; when one fails, every worker ends. Only go test's -timeout bounds it: how long so many
// exchanges take depends on the machine.
func (f *fixture) work(cs []*client, worker func(next func(driver.Exchange) driver.Exchanged)) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	var all sync.WaitGroup
	for w := range workers {
		c := cs[w%len(cs)]
		all.Go(func() {
			ticker := time.NewTicker(5 * interval)
			defer ticker.Stop()
			worker(func(x driver.Exchange) driver.Exchanged {
				x.Number = c.number()
				answer, err := c.Exchange(ctx, x)
				if err != nil {
					if ctx.Err() == nil {
						f.Errorf("worker %d: %v", w, err)
					}
					cancel()
					runtime.Goexit()
				}
				if len(answer.Reserved) == 0 {
					<-ticker.C
				}
				return answer
			})
		})
	}
	all.Wait()
}

// again picks the settlements whose rows were locked.
func (f *fixture) again(locked []sqlqueue.Reservation, settle []driver.Settlement) []driver.Settlement {
	var again []driver.Settlement
	for _, s := range settle {
		if slices.Contains(locked, s.Reservation) {
			again = append(again, s)
		}
	}
	return again
}

package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

var fenceCases = []testCase{
	{
		"B5 a reservation that another holder has since",
		"a late worker would delete, or fail, what another worker is running now",
		func(f *fixture) {
			c, other := f.open(), f.open()
			f.late(c, func(lost []sqlqueue.Job) {
				c.expire(lost...)
				other.reserve(len(lost), "default")
			})
		},
	},
	{
		"B5 a reservation that was requeued",
		"the job waits for another worker, and its attempt was spent",
		func(f *fixture) {
			c := f.open()
			f.late(c, func(lost []sqlqueue.Job) { c.expire(lost...) })
		},
	},
	{
		"B5 a reservation that the same worker has again, under another number",
		"attempts, or the worker's name, do not tell two reservations apart",
		func(f *fixture) {
			c := f.open()
			f.late(c, func(lost []sqlqueue.Job) {
				var back []driver.Settlement
				for _, j := range lost {
					back = append(back, giveBack(j))
				}
				c.settle(back...)
				for _, j := range c.reserve(len(lost), "default") {
					if j.Attempts != 1 {
						f.Errorf("attempts is %d, want 1 as before", j.Attempts)
					}
				}
			})
		},
	},
	{
		"B5 a reservation whose job was deleted",
		"a settlement that is repeated must be harmless",
		func(f *fixture) {
			c := f.open()
			f.late(c, func(lost []sqlqueue.Job) {
				for _, j := range lost {
					c.settle(done(j))
				}
			})
		},
	},
	{
		"B5 C7 a reservation whose job failed and was retried",
		"the retried job is another job, with its own tries",
		func(f *fixture) {
			c := f.open()
			f.late(c, func(lost []sqlqueue.Job) {
				for _, j := range lost {
					c.settle(fail(j, "no", ""))
				}
				if n, err := operator.New(c.Queue).Retry(f.Context(), operator.FailedFilter{}); err != nil || n != len(lost) {
					f.Fatalf("retried %d, %v", n, err)
				}
				for _, j := range c.reserve(len(lost), "default") {
					if slices.Contains(idsOf(lost), j.ID) {
						f.Errorf("retried job %d has its old id", j.ID)
					}
				}
			})
		},
	},
	{
		"B5 a reservation whose job failed",
		"a failed job must not be changed by its late worker",
		func(f *fixture) {
			c := f.open()
			f.late(c, func(lost []sqlqueue.Job) {
				for _, j := range lost {
					c.settle(fail(j, "no", ""))
				}
			})
		},
	},
	{
		"B5 a reservation that was released by hand",
		"an operator who takes a job from a worker must be obeyed",
		func(f *fixture) {
			c := f.open()
			f.late(c, func(lost []sqlqueue.Job) {
				if n, err := operator.New(f.open().Queue).Release(f.Context(), idsOf(lost)...); err != nil || n != len(lost) {
					f.Fatalf("released %d, %v", n, err)
				}
			})
		},
	},
	{
		"B5 a reservation whose job was cleared, with the reserved ones",
		"nothing may come back to life",
		func(f *fixture) {
			c := f.open()
			f.late(c, func(lost []sqlqueue.Job) {
				if n, err := operator.New(c.Queue).Clear(f.Context(), "", true); err != nil || n != len(lost) {
					f.Fatalf("cleared %d, %v", n, err)
				}
			})
		},
	},
	{
		"B5 a number that belongs to another job, or to none",
		"both the id and the number must fit",
		func(f *fixture) {
			c := f.open()
			c.pushMany(8)
			jobs := c.reserve(1, "default")
			others := c.take(6, "default")
			waiting := c.push(sqlqueue.Delay(time.Hour))
			var wrong []sqlqueue.Job
			for i, j := range others {
				switch i % 3 {
				case 0:
					j.ReservedBy = jobs[0].ReservedBy
				case 1:
					j.ReservedBy = c.number()
				default:
					j.ReservedBy = ""
				}
				wrong = append(wrong, j)
			}
			wrong = append(wrong, sqlqueue.Job{ID: waiting}, sqlqueue.Job{ID: waiting, ReservedBy: jobs[0].ReservedBy}, sqlqueue.Job{
				ID: waiting + 1000, ReservedBy: "x-1",
			})
			for _, j := range wrong {
				f.refused(c, j)
			}
		},
	},
	{
		"B5 the same exchange sent again after its COMMIT was not answered",
		"an answer that never came is repeated, and the first may have been done",
		func(f *fixture) {
			c, other := f.open(), f.open()
			c.pushMany(5)
			jobs := c.reserve(5, "default")
			settle := driver.Exchange{Settle: []driver.Settlement{
				done(jobs[0]), putBack(jobs[1], 0), giveBack(jobs[2]), fail(jobs[3], "no", ""),
			}}
			c.exchange(settle)
			for range 2 {
				before := f.dump()
				answer := c.exchange(settle)
				if len(answer.Lost) != 4 {
					f.Errorf("lost %v, want all 4", answer.Lost)
				}
				f.unchanged(before)
				// The second time, others have the jobs.
				other.take(9, "default")
			}
			c.settle(done(jobs[4]))
		},
	},
	{
		"one lost reservation hurts only itself",
		"a batch must not fail for one of its members",
		func(f *fixture) {
			c := f.open()
			c.pushMany(6)
			jobs := c.reserve(6, "default")
			c.settle(done(jobs[0]), putBack(jobs[3], time.Hour), putBack(jobs[5], time.Hour))
			answer := c.exchange(driver.Exchange{
				Settle: []driver.Settlement{done(jobs[0]), done(jobs[1]), fail(jobs[2], "no", ""), done(jobs[3])},
				Touch:  []driver.Touch{touch(jobs[5], keep), touch(jobs[4], 0)},
			})
			slices.SortFunc(answer.Lost, func(a, b sqlqueue.Reservation) int { return int(a.ID - b.ID) })
			want := []sqlqueue.Reservation{jobs[0].Reservation(), jobs[3].Reservation(), jobs[5].Reservation()}
			if !slices.Equal(answer.Lost, want) {
				f.Errorf("lost %v, want %v", answer.Lost, want)
			}
			left, err := operator.New(c.Queue).Jobs(f.Context(), operator.JobFilter{})
			f.must(err)
			f.sameIDs(left, jobs[3].ID, jobs[4].ID, jobs[5].ID)
			if !left[1].ExpiresAt.IsZero() {
				f.Errorf("job %d was not touched", left[1].ID)
			}
		},
	},
	{
		"abandoned: what a number reserved goes back, and the attempt is not spent",
		"when the answer to a reserve never comes, nobody knows the jobs, and nobody has started them",
		func(f *fixture) {
			c, other := f.open(), f.open()
			ids := c.pushMany(6)
			gone := c.take(2, "default")
			kept := c.take(1, "default")
			also := c.take(2, "default")
			c.exchange(driver.Exchange{Abandoned: []string{gone[0].ReservedBy, also[0].ReservedBy, c.number()}})
			for _, id := range []int64{ids[0], ids[1], ids[3], ids[4]} {
				if j := c.job(id); j.Reserved || j.Attempts != 0 {
					f.Errorf("abandoned job: %+v", j)
				}
			}
			f.sameJob(c.job(ids[2]), kept[0])
			before := f.dump()
			c.exchange(driver.Exchange{Abandoned: []string{gone[0].ReservedBy, also[0].ReservedBy}})
			f.unchanged(before)

			again := other.reserve(5, "default")
			before = f.dump()
			c.exchange(driver.Exchange{Abandoned: []string{gone[0].ReservedBy, also[0].ReservedBy}})
			f.unchanged(before)
			for _, j := range again {
				if j.Attempts != 1 {
					f.Errorf("job %d is at attempt %d, want 1", j.ID, j.Attempts)
				}
				other.settle(done(j))
			}
			f.refused(c, gone[0])
			c.settle(done(kept[0]))
		},
	},
	{
		"abandoned jobs can be reserved by the same exchange",
		"a worker with free slots does not wait for another turn",
		func(f *fixture) {
			c := f.open()
			id := c.push()
			lost := c.take(1, "default")[0]
			var got []sqlqueue.Job
			f.eventually("the abandoned job is reserved", func() bool {
				got = c.exchange(driver.Exchange{Abandoned: []string{lost.ReservedBy}, Limit: 1, Reserve: from("default")}).Reserved
				return len(got) > 0
			})
			f.sameIDs(got, id)
			if got[0].Attempts != 1 {
				f.Errorf("attempts is %d, want 1", got[0].Attempts)
			}
		},
	},
}

// late reserves three jobs, lets lose happen to them, and sees that their late holder changes nothing.
func (f *fixture) late(c *client, lose func(lost []sqlqueue.Job)) {
	f.Helper()
	c.pushMany(3)
	lost := c.reserveFrom(3, fromFor(brief, "default"))
	lose(lost)
	for _, j := range lost {
		f.refused(c, j)
	}
}

// refused sees that no operation with the reservation is accepted, or changes anything, however often it is tried.
func (f *fixture) refused(c *client, j sqlqueue.Job) {
	f.Helper()
	before := f.dump()
	for range 2 {
		for what, x := range map[string]driver.Exchange{
			"delete":    {Settle: []driver.Settlement{done(j)}},
			"release":   {Settle: []driver.Settlement{putBack(j, time.Minute)}},
			"give-back": {Settle: []driver.Settlement{giveBack(j)}},
			"fail":      {Settle: []driver.Settlement{fail(j, "late", "late")}},
			"touch":     {Touch: []driver.Touch{touch(j, time.Hour)}},
			"keep":      {Touch: []driver.Touch{touch(j, 0)}},
		} {
			answer := c.exchange(x)
			if !slices.Equal(answer.Lost, []sqlqueue.Reservation{j.Reservation()}) || len(answer.Locked) > 0 {
				f.Errorf("%s of lost reservation %v: lost %v, locked %v", what, j.Reservation(), answer.Lost, answer.Locked)
			}
			f.unchanged(before)
		}
		if err := c.Delete(f.Context(), j); !errors.Is(err, sqlqueue.ErrReservationLost) {
			f.Errorf("Delete of lost reservation %v: got %v, want ErrReservationLost", j.Reservation(), err)
		}
		f.unchanged(before)
	}
}

func (f *fixture) unchanged(before string) {
	f.Helper()
	if after := f.dump(); after != before {
		f.Fatalf("the tables changed, from\n%s\nto\n%s", before, after)
	}
}

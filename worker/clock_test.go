package worker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

// clock is that of a database which can be set. What is in the tables stays; to the store, whose time is Go's, it moves the other way.
type clock struct {
	driver.Store
	bench *bench
	turn  chan struct{} // has one place: the clock is not set in the middle of an exchange
	ahead time.Duration
}

func (b *bench) clock() *clock {
	c := &clock{Store: b.store.Store, bench: b, turn: make(chan struct{}, 1)}
	b.store.Store = c
	return c
}

func (c *clock) Unwrap() driver.Store { return c.Store }

func (c *clock) Exchange(ctx context.Context, x driver.Exchange) (driver.Exchanged, error) {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if !x.Expired.IsZero() {
		x.Expired = x.Expired.Add(-c.ahead)
	}
	answer, err := c.Store.Exchange(ctx, x)
	answer.Now = answer.Now.Add(c.ahead)
	if !answer.NextDue.IsZero() {
		answer.NextDue = answer.NextDue.Add(c.ahead)
	}
	return answer, err
}

// set sets the clock by so much.
func (c *clock) set(by time.Duration) {
	c.bench.t.Helper()
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.ahead += by
	_, err := c.bench.db.ExecContext(c.bench.t.Context(), `UPDATE jobs SET available_at = available_at - ?1, expires_at = expires_at - ?1,
		reserved_at = reserved_at - ?1, created_at = created_at - ?1`, by.Microseconds())
	if err != nil {
		c.bench.t.Fatal(err)
	}
}

const clockWasSet = "the clock of the database was set, or this machine slept: expired jobs are left to their owners for a while"

func TestB5_AClockThatIsSetForwardTakesNoLiveJob(t *testing.T) {
	for _, by := range []time.Duration{59 * time.Second, time.Hour, 30 * 24 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var runs atomic.Int32
				b.handle(func(context.Context, *raw) error { runs.Add(1); pass(5 * time.Minute); return nil })
				c := b.clock()
				dead := b.push()
				b.reserve("dead-1", 10*time.Minute)
				b.pushMany(6)
				for range 3 {
					b.start(worker.Config{Concurrency: 3, Timeout: -1})
				}
				pass(10 * time.Second)
				c.set(by)
				pass(2 * time.Minute)
				if got, want := runs.Load() > 6, by > 10*time.Minute; got != want {
					t.Errorf("the job of the dead worker runs again: %t, want %t", got, want)
				}
				within(t, 20*time.Minute, "all are done", func() bool { return len(b.jobs()) == 0 })
				if got := runs.Load(); got != 7 {
					t.Errorf("7 jobs ran %d times", got)
				}
				b.gone(dead)
				b.logged("reservation lost", 0)
				b.logged(clockWasSet, 3)
				if got := b.log.find(clockWasSet)[0]; time.Duration(got["by"].(float64)).Round(2*time.Second) != by.Round(2*time.Second) {
					t.Errorf("logged %v", got)
				}
			})
		})
	}
}

// An owner that cannot speak just then has requeueGrace to do so.
func TestB5_AClockThatIsSetWhileAnOwnerCannotBeHeard(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var runs atomic.Int32
		b.handle(func(context.Context, *raw) error { runs.Add(1); pass(time.Minute); return nil })
		c := b.clock()
		id := b.push()
		owner := b.start(worker.Config{Timeout: -1})
		within(t, time.Minute, "it runs", func() bool { return b.job(id).Reserved })
		by, _, _ := strings.Cut(b.job(id).ReservedBy, "-")
		other := b.start(worker.Config{Timeout: -1})
		pass(3 * time.Second)
		b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
			if strings.HasPrefix(x.Number, by) {
				return errBroken
			}
			return nil
		}, nil)
		c.set(time.Hour)
		pass(4 * time.Second)
		b.store.intercept(nil, nil)
		within(t, 2*time.Minute, "done", func() bool { return b.job(id) == nil })
		owner.stop()
		other.stop()
		if got := runs.Load(); got != 1 {
			t.Errorf("it ran %d times", got)
		}
		b.logged("reservation lost", 0)
	})
}

func TestB5_AClockThatIsSetBack(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		let := make(chan struct{})
		b.handle(func(_ context.Context, job *raw) error {
			if job.Queue == "slow" {
				<-let
			}
			return nil
		})
		c := b.clock()
		slow := b.push(sqlqueue.OnQueue("slow"))
		r := b.start(worker.Config{Queues: []string{"default", "slow"}, Timeout: -1})
		within(t, time.Minute, "it runs", func() bool { return b.job(slow).Reserved })
		waiting := b.push(sqlqueue.Delay(time.Second)) // else it would be done before the clock is set
		c.set(-10 * time.Minute)
		set := time.Now()

		// Reservations follow the new clock: if this worker dies, its jobs do not wait for the old one.
		within(t, 2*time.Second, "touched", func() bool { return time.Until(b.job(slow).ExpiresAt) <= time.Minute })
		after := b.push()
		within(t, 3*time.Second, "what is pushed now runs at once", func() bool { return b.job(after) == nil })
		within(t, 11*time.Minute, "what was there before runs when the clock has caught up", func() bool { return b.job(waiting) == nil })
		if took := time.Since(set); took < 10*time.Minute || took > 10*time.Minute+10*time.Second {
			t.Errorf("what was there before ran after %v", took)
		}
		b.logged(clockWasSet, 1)

		c.set(10 * time.Minute) // set right again
		close(let)
		within(t, time.Minute, "done", func() bool { return b.job(slow) == nil })
		r.stop()
		b.logged("reservation lost", 0)
	})
}

// Slow exchanges, outages and clocks that run a little fast are no steps.
func TestB5_AClockThatIsNotSet(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(answers(nil))
		began := time.Now()
		var before, after atomic.Int64
		var refused atomic.Bool
		b.store.intercept(
			func(context.Context, *driver.Exchange) error {
				pass(time.Duration(before.Load()))
				if refused.Load() {
					return errBroken
				}
				return nil
			},
			func(_ driver.Exchange, answer *driver.Exchanged) error {
				answer.Now = answer.Now.Add(time.Since(began) / 100)
				pass(time.Duration(after.Load()))
				return nil
			})
		r := b.start(worker.Config{})
		for range 5 {
			before.Store(int64(10 * time.Second))
			pass(time.Minute)
			before.Store(0)
			after.Store(int64(10 * time.Second))
			pass(time.Minute)
			after.Store(0)
			pass(10 * time.Second)
		}
		refused.Store(true)
		pass(time.Minute)
		refused.Store(false)
		pass(time.Minute)
		r.stop()
		b.logged(clockWasSet, 0)
	})
}

package worker_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestD7_Restart(t *testing.T) {
	for name, c := range map[string]struct {
		queue string
		ends  bool
	}{"all": {"", true}, "a queue of it": {"mail", true}, "another queue": {"sms", false}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.control(c.queue, operator.ControlChange{Restart: true}) // before it starts: not its business
				finished := false
				b.handle(func(context.Context, *raw) error { pass(20 * time.Second); finished = true; return nil })
				b.push(sqlqueue.OnQueue("mail"))
				r := b.start(worker.Config{Queues: []string{"default", "mail"}, Sleep: time.Hour})
				pass(10 * time.Second)
				b.control(c.queue, operator.ControlChange{Restart: true})
				pass(2 * time.Second)
				b.logged("worker stopping", b2i(c.ends))
				if !c.ends {
					r.stop()
					return
				}
				if err := r.ended(); err != nil || !finished {
					t.Fatalf("ended before its handler: %v", err)
				}
			})
		})
	}
}

func TestD9_Maintenance(t *testing.T) {
	yes, no := true, false
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.control("", operator.ControlChange{Maintenance: &yes})
		b.store.intercept(nil, forgetDue)
		id := b.push()
		r := b.start(worker.Config{Sleep: time.Hour})
		pass(time.Minute)
		b.waits(id, 0, -time.Minute)
		b.control("", operator.ControlChange{Maintenance: &no})
		within(t, 2*time.Second, "done", func() bool { return b.job(id) == nil })
		r.stop()

		b.control("", operator.ControlChange{Maintenance: &yes})
		id = b.push()
		b.drain(worker.Config{Force: true})
		b.gone(id)
	})
}

func TestD10_Pause(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.control("mail", operator.ControlChange{Pause: true, PauseFor: time.Minute})
		mail, other := b.push(sqlqueue.OnQueue("mail")), b.push()
		b.store.intercept(nil, forgetDue)
		r := b.start(worker.Config{Queues: []string{"mail", "default"}, Sleep: time.Hour})
		pass(59 * time.Second)
		b.gone(other)
		b.waits(mail, 0, -59*time.Second)
		within(t, 3*time.Second, "done", func() bool { return b.job(mail) == nil })
		r.stop()
	})
}

// forgetDue leaves out of an answer what a store may leave out: that a job is due already.
func forgetDue(_ driver.Exchange, answer *driver.Exchanged) error {
	if !answer.NextDue.After(answer.Now) {
		answer.NextDue = time.Time{}
	}
	return nil
}

func TestE7_AnOperatorChangesConcurrency(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var now atomic.Int32
		b.handle(func(context.Context, *raw) error {
			now.Add(1)
			pass(time.Second)
			now.Add(-1)
			return worker.Release(0)
		})
		for range 20 {
			b.push(sqlqueue.Tries(0))
		}
		r := b.start(worker.Config{Concurrency: 3})
		running := func(n int32) func() bool { return func() bool { synctest.Wait(); return now.Load() == n } }
		want := func(n any) {
			t.Helper()
			if _, err := b.db.ExecContext(b.t.Context(), `UPDATE job_workers SET wanted_concurrency = ?`, n); err != nil {
				t.Fatal(err)
			}
			pass(3 * time.Second) // a second for the worker to hear of it, another for what runs
		}
		for _, c := range []struct {
			set  any
			runs int32
		}{{nil, 3}, {8, 8}, {1, 1}, {nil, 3}} {
			want(c.set)
			for range 100 {
				pass(17 * time.Millisecond)
				if now.Load() > c.runs {
					t.Fatalf("%d run at once, %v are wanted", now.Load(), c.set)
				}
			}
			within(t, 2*time.Second, fmt.Sprint(c.set), running(c.runs))
		}
		r.stop()
	})
}

package worker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

// refusal is what a store says of a statement that is refused for good.
var refusal = &sqlqueue.RefusedError{Err: errors.New("permission denied for table jobs"), Cure: "grant UPDATE on jobs"}

// refuses stands in the way of the exchanges that it picks.
func (b *bench) refuses(picks func(x *driver.Exchange) bool) {
	b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
		if picks(x) {
			return fmt.Errorf("exchange: %w", refusal)
		}
		return nil
	}, nil)
}

func wantRefusal(t *testing.T, err error) {
	t.Helper()
	var r *sqlqueue.RefusedError
	if !errors.As(err, &r) || r.Cure == "" {
		t.Fatalf("Run: %v", err)
	}
}

func TestD15_ARefusalAtTheStartEndsRunAtOnce(t *testing.T) {
	for name, stand := range map[string]func(b *bench){
		"check":          func(b *bench) { b.store.check = func() error { return refusal } },
		"first exchange": func(b *bench) { b.refuses(func(*driver.Exchange) bool { return true }) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				stand(b)
				b.handle(answers(nil))
				began := time.Now()
				wantRefusal(t, b.start(worker.Config{}).ended())
				if took := time.Since(began); took > time.Second {
					t.Errorf("ended after %v", took)
				}
			})
		})
	}
}

func TestD15_ARefusalThatLastsEndsRun(t *testing.T) {
	for name, c := range map[string]struct {
		picks func(x *driver.Exchange) bool
		left  bool // how the jobs ended cannot be written
	}{
		"everything": {func(*driver.Exchange) bool { return true }, true},
		"to reserve": {func(x *driver.Exchange) bool { return x.Limit > 0 }, false},
		"to settle":  {func(x *driver.Exchange) bool { return len(x.Settle) > 0 }, true},
		"to touch":   {func(x *driver.Exchange) bool { return len(x.Touch) > 0 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(func(context.Context, *raw) error { pass(4 * time.Second); return nil })
				id := b.push()
				r := b.start(worker.Config{Expire: 6 * time.Second, Concurrency: 2, Grace: 20 * time.Second})
				within(t, time.Minute, "it runs", func() bool { return b.job(id).Reserved })
				b.refuses(c.picks)
				began := time.Now()
				var last int64
				if name == "to touch" { // what runs must outlast the refusal's time
					b.store.intercept(nil, nil)
					within(t, time.Minute, "the first is done", func() bool { return b.job(id) == nil })
					b.handleLong("long")
					last = b.pushNamed("long")
					within(t, time.Minute, "the long one runs", func() bool { return b.job(last).Reserved })
					b.refuses(c.picks)
					began = time.Now()
				}
				wantRefusal(t, r.ended())
				if took := time.Since(began); took < 5*time.Second || took > 40*time.Second {
					t.Errorf("ended after %v", took)
				}
				if gone := b.job(id) == nil; gone == c.left {
					t.Errorf("the job that ran meanwhile is gone: %t", gone)
				}
				if len(b.log.find("the database refuses; the worker ends if that lasts")) == 0 {
					t.Error("nothing was logged")
				}
			})
		})
	}
}

// A grant that is taken away and given again, or a table that is replaced.
func TestD15_ARefusalThatPassesHurtsNobody(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		r := b.start(worker.Config{})
		pass(time.Second)
		b.refuses(func(*driver.Exchange) bool { return true })
		pass(4 * time.Second)
		b.store.intercept(nil, nil)
		id := b.push()
		within(t, 10*time.Second, "done", func() bool { return b.job(id) == nil })
		pass(time.Minute)
		r.stop()
	})
}

func TestD15_OneJobThatIsRefusedHurtsOnlyItself(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		b.refuses(func(x *driver.Exchange) bool {
			return slices.ContainsFunc(x.Settle, func(s driver.Settlement) bool { return s.ID == 5 })
		})
		b.pushMany(40)
		r := b.start(worker.Config{Concurrency: 40})
		within(t, 10*time.Second, "the others are done", func() bool { return len(b.jobs()) == 1 })
		lines := b.log.find("the database refuses to write how the job ended")
		within(t, 10*time.Second, "the reason is logged", func() bool {
			lines = b.log.find("the database refuses to write how the job ended")
			return len(lines) > 0
		})
		if want := "sqlqueue: exchange: exchange: " + refusal.Error(); lines[0]["refusal"] != want || lines[0]["id"] != 5.0 {
			t.Errorf("logged %v", lines[0])
		}
		r.stop()
	})
}

func TestD15_AnOutageThatLastsIsLoggedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		r := b.start(worker.Config{})
		pass(time.Second)
		b.store.intercept(func(context.Context, *driver.Exchange) error { return errors.New("connection refused") }, nil)
		pass(10 * time.Minute)
		b.store.intercept(nil, nil)
		pass(time.Minute)
		b.logged("exchange with the database failed, trying again", 1)
		lines := b.log.find("exchange with the database still fails, trying again")
		if len(lines) != 4 {
			t.Fatalf("logged %v", lines)
		}
		if last := lines[3]; last["tries"].(float64) < 50 || time.Duration(last["since"].(float64)) < 8*time.Minute {
			t.Errorf("the last line is %v", last)
		}
		b.logged("database answers again", 1)
		r.stop()
	})
}

func TestD15_ADriverThatPanicsIsAFaultOfOurs(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		r := b.start(worker.Config{})
		pass(time.Second)
		var once atomic.Bool
		b.store.intercept(func(context.Context, *driver.Exchange) error {
			if once.CompareAndSwap(false, true) {
				panic("index out of range")
			}
			return nil
		}, nil)
		id := b.push()
		within(t, time.Minute, "done", func() bool { return b.job(id) == nil })
		r.stop()
		lines := b.log.find("exchange with the database failed, trying again")
		if len(lines) != 1 || lines[0]["level"] != "ERROR" || lines[0]["stack"] == nil {
			t.Errorf("logged %v", lines)
		}
	})
}

// handleLong registers a handler that runs for 40 s.
func (b *bench) handleLong(name string) {
	b.mux.HandleFunc(name, func(ctx context.Context, _ *raw) error {
		select {
		case <-time.After(40 * time.Second):
		case <-ctx.Done():
		}
		return nil
	})
}

func (b *bench) pushNamed(name string) int64 {
	b.t.Helper()
	id, err := b.q.Push(b.t.Context(), sqlqueue.Named(name, 1))
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// A network that breaks connections again and again says nothing of the job whose end is being written.
func TestABadNetworkIsNotTakenForARefusal(t *testing.T) {
	for name, breaks := range map[string]func(settles bool, broken int) bool{
		"when the job is settled": func(settles bool, broken int) bool { return settles && broken < 10 },
		"at times without it": func(settles bool, broken int) bool {
			return broken < 200 && (settles || broken%10 == 9)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var runs atomic.Int32
				b.handle(func(context.Context, *raw) error { runs.Add(1); return nil })
				broken := 0
				b.store.intercept(func(_ context.Context, x *driver.Exchange) error {
					if breaks(len(x.Settle) > 0, broken) {
						broken++
						return errors.New("invalid connection")
					}
					return nil
				}, nil)
				id := b.push()
				r := b.start(worker.Config{})
				within(t, 5*time.Minute, "done", func() bool { return b.job(id) == nil })
				b.logged("the database refuses to write how the job ended", 0)
				if broken < 10 || runs.Load() != 1 {
					t.Errorf("%d connections broke, and the job ran %d times", broken, runs.Load())
				}
				r.stop()
			})
		})
	}
}

package sqlqueue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// gate is a Store whose Push waits to be let through. An id is the number of the job.
type gate struct {
	driver.Store
	mu    sync.Mutex
	calls []*call
}

type call struct {
	ctx  context.Context //nolint:containedctx // what the call got
	jobs []string
	pass chan error
}

func (g *gate) Push(ctx context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	c := &call{ctx: ctx, pass: make(chan error)}
	pushed := make([]driver.Pushed, len(jobs))
	for i, job := range jobs {
		c.jobs = append(c.jobs, string(job.Payload))
		_, _ = fmt.Sscanf(string(job.Payload), `{"job":"job","data":%d}`, &pushed[i].ID)
	}
	g.mu.Lock()
	g.calls = append(g.calls, c)
	g.mu.Unlock()
	select {
	case err := <-c.pass:
		if err != nil {
			return nil, err
		}
		return pushed, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// take returns the calls since the last time, and how many jobs each has.
func (g *gate) take() (calls []*call, sizes []int) {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.calls {
		sizes = append(sizes, len(c.jobs))
	}
	calls, g.calls = g.calls, nil
	return calls, sizes
}

// one is a gate whose database has a single writer.
type one struct{ *gate }

func (one) SingleWriter() {}

// pusher is a Push in a goroutine of its own.
type pusher struct {
	cancel context.CancelFunc
	id     int64
	err    error
	ended  bool
}

func pushers(t *testing.T, q *sqlqueue.Queue, from, to int, options ...sqlqueue.PushOption) []*pusher {
	t.Helper()
	var all []*pusher
	for i := from; i <= to; i++ {
		ctx, cancel := context.WithCancel(t.Context())
		p := &pusher{cancel: cancel}
		all = append(all, p)
		go func() {
			p.id, p.err = q.Push(ctx, sqlqueue.Named("job", i), options...)
			p.ended = true
		}()
		synctest.Wait()
	}
	return all
}

func openGate(t *testing.T) (*sqlqueue.Queue, *gate) {
	t.Helper()
	g := &gate{}
	q, err := sqlqueue.New(one{g}, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return q, g
}

func TestPushesGather(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := openGate(t)
		all := pushers(t, q, 1, 5)
		first, sizes := g.take()
		if !slices.Equal(sizes, []int{1}) {
			t.Fatalf("calls of %v jobs, want one of 1", sizes)
		}
		first[0].pass <- nil
		second, sizes := g.take()
		if !slices.Equal(sizes, []int{4}) {
			t.Fatalf("then calls of %v jobs, want one of 4", sizes)
		}
		all = append(all, pushers(t, q, 6, 7)...)
		second[0].pass <- nil
		third, sizes := g.take()
		if !slices.Equal(sizes, []int{2}) {
			t.Fatalf("then calls of %v jobs, want one of 2", sizes)
		}
		third[0].pass <- nil
		synctest.Wait()
		for i, p := range all {
			if !p.ended || p.id != int64(i+1) || p.err != nil {
				t.Errorf("push %d: ended %t, id %d, %v", i+1, p.ended, p.id, p.err)
			}
		}
		pushers(t, q, 8, 8)
		if last, sizes := g.take(); !slices.Equal(sizes, []int{1}) {
			t.Errorf("on an idle queue: calls of %v jobs, want one of 1", sizes)
		} else {
			last[0].pass <- nil
		}
	})
}

// TestPushesOfTheSameMomentGoTogether: goroutines that one event wakes, such as a tick, wait for one commit instead of two. The scheduler
// may let one of them run ahead of the others, so it need not hold each time.
func TestPushesOfTheSameMomentGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := openGate(t)
		for range 50 {
			tick, ended := make(chan struct{}), sync.WaitGroup{}
			for i := range 8 {
				ended.Go(func() {
					<-tick
					if id, err := q.Push(t.Context(), sqlqueue.Named("job", i)); err != nil || id != int64(i) {
						t.Errorf("push %d: id %d, %v", i, id, err)
					}
				})
			}
			synctest.Wait()
			close(tick)
			together := false
			for calls, sizes := g.take(); len(calls) > 0; calls, sizes = g.take() {
				together = together || sizes[0] == 8
				for _, c := range calls {
					c.pass <- nil
				}
			}
			if ended.Wait(); together {
				return
			}
		}
		t.Error("one always goes before the others")
	})
}

// A push that takes long, as on a connection that hangs, does not hold up the others for long.
func TestPushesGoBesideOneThatTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		q, err := sqlqueue.New(g, sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var all []*call
		after := func(d time.Duration, want ...int) {
			t.Helper()
			time.Sleep(d) //nolint:forbidigo // virtual time
			calls, sizes := g.take()
			if !slices.Equal(sizes, want) {
				t.Errorf("calls of %v jobs, want %v", sizes, want)
			}
			all = append(all, calls...)
		}
		const almost, more = 19 * time.Millisecond, 2 * time.Millisecond
		pushers(t, q, 1, 3)
		after(almost, 1)
		after(more, 2)
		for range 2 {
			pushers(t, q, 4, 5)
			after(almost)
			after(more, 2)
		}
		pushers(t, q, 6, 7)
		after(time.Second)
		all[0].pass <- nil
		after(0, 2)
		for _, c := range all[1:] {
			c.pass <- nil
		}
	})
}

func TestPushesThatGoAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := openGate(t)
		pushers(t, q, 1, 1)
		pushers(t, q, 2, 3, sqlqueue.Unique("key"))
		pushers(t, q, 4, 5, sqlqueue.OnQueue("a", "b"))
		go func() { _, _ = q.Push(t.Context(), sqlqueue.Named("job", strings.Repeat("x", 70_000))) }()
		bound := q.Bind(func(s driver.Store) (driver.Store, error) { return s, nil })
		pushers(t, bound, 6, 7)
		calls, sizes := g.take()
		if !slices.Equal(sizes, []int{1, 1, 1, 2, 2, 1, 1, 1}) {
			t.Errorf("calls of %v jobs", sizes)
		}
		for _, c := range calls {
			c.pass <- nil
		}
	})
}

func TestWhoGivesUpBeforeGatheredPushesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := openGate(t)
		all := pushers(t, q, 1, 3)
		all[1].cancel()
		synctest.Wait()
		if p := all[1]; !errors.Is(p.err, context.Canceled) || errors.Is(p.err, sqlqueue.ErrOutcomeUnknown) {
			t.Errorf("ended %t, %v; want context.Canceled", p.ended, p.err)
		}
		calls, _ := g.take()
		calls[0].pass <- nil
		calls, sizes := g.take()
		if !slices.Equal(sizes, []int{1}) || calls[0].jobs[0] != `{"job":"job","data":3}` {
			t.Errorf("then calls of %v jobs, of them %v", sizes, calls[0].jobs)
		}
		calls[0].pass <- nil
	})
}

func TestWhoGivesUpWhileGatheredPushesGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := openGate(t)
		all := pushers(t, q, 1, 3)
		calls, _ := g.take()
		calls[0].pass <- nil
		calls, _ = g.take()
		all[1].cancel()
		synctest.Wait()
		if p := all[1]; !errors.Is(p.err, context.Canceled) || !errors.Is(p.err, sqlqueue.ErrOutcomeUnknown) {
			t.Errorf("ended %t, %v; want an unknown outcome and context.Canceled", p.ended, p.err)
		}
		if err := calls[0].ctx.Err(); err != nil {
			t.Errorf("the others' push ended: %v", err)
		}
		all[2].cancel()
		synctest.Wait()
		if p := all[2]; !errors.Is(p.err, context.Canceled) {
			t.Errorf("the last: ended %t, %v; want context.Canceled", p.ended, p.err)
		}
		if calls[0].ctx.Err() == nil {
			t.Error("nobody waits, and the push goes on")
		}
		if _, sizes := g.take(); len(sizes) > 0 {
			t.Errorf("calls of %v jobs for callers that have given up", sizes)
		}
	})
}

func TestGatheredPushesThatFail(t *testing.T) {
	refused := errors.New("refused")
	unknown := fmt.Errorf("gone: %w", sqlqueue.ErrOutcomeUnknown)
	for _, test := range []struct {
		name  string
		err   error
		again []int
	}{
		{"are pushed one by one", refused, []int{1, 1}},
		{"with an unknown outcome are not repeated", unknown, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, g := openGate(t)
				all := pushers(t, q, 1, 3)
				calls, _ := g.take()
				calls[0].pass <- nil
				calls, _ = g.take()
				calls[0].pass <- test.err
				calls, sizes := g.take()
				if !slices.Equal(sizes, test.again) {
					t.Errorf("calls of %v jobs, want %v", sizes, test.again)
				}
				for i, c := range calls {
					c.pass <- []error{refused, nil}[i]
				}
				synctest.Wait()
				failed := slices.DeleteFunc(all[1:], func(p *pusher) bool { return p.err == nil })
				if want := 2 - len(test.again)/2; len(failed) != want || !errors.Is(failed[0].err, test.err) {
					t.Errorf("%d pushes failed, want %d", len(failed), want)
				}
			})
		})
	}
}

// Where only one has gathered, the failure is its own.
func TestAPushThatGatheredAloneAndFailsIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, g := openGate(t)
		all := pushers(t, q, 1, 2)
		calls, _ := g.take()
		calls[0].pass <- nil
		calls, _ = g.take()
		refused := errors.New("refused")
		calls[0].pass <- refused
		if again, sizes := g.take(); len(again) > 0 {
			t.Errorf("then calls of %v jobs", sizes)
			again[0].pass <- nil
		}
		synctest.Wait()
		if !errors.Is(all[1].err, refused) {
			t.Errorf("got %v, want %v", all[1].err, refused)
		}
	})
}

// Those whose gathered push has failed push again by themselves, a few at a time: a database that is in trouble is not met by hundreds at
// once.
func TestAfterAFailureAFewPushAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		q, err := sqlqueue.New(g, sqlqueue.Config{})
		if err != nil {
			t.Fatal(err)
		}
		first := pushers(t, q, 1, 1)
		calls, _ := g.take()
		others := pushers(t, q, 2, 201)
		if together, sizes := g.take(); len(together) != 0 {
			t.Fatalf("beside another go %v", sizes)
		}
		calls[0].pass <- nil
		together, sizes := g.take()
		if !slices.Equal(sizes, []int{200}) {
			t.Fatalf("gathered are %v", sizes)
		}
		together[0].pass <- errors.New("too long")
		for done := 0; done < len(others); {
			again, sizes := g.take()
			if len(again) == 0 || len(again) > 4 {
				t.Fatalf("again go %v", sizes)
			}
			for _, c := range again {
				c.pass <- nil
				done++
			}
		}
		synctest.Wait()
		for _, p := range append(first, others...) {
			if !p.ended || p.err != nil {
				t.Fatalf("a push has ended: %t, %v", p.ended, p.err)
			}
		}
	})
}

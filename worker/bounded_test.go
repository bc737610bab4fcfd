package worker_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

// standstill is a server that does not answer any more: calls of the store wait for their context, or for the end of the test if it hangs.
func (b *bench) standstill(hangs bool) {
	over := make(chan struct{})
	b.t.Cleanup(func() { close(over) })
	b.store.intercept(func(ctx context.Context, _ *driver.Exchange) error {
		if hangs {
			<-over
			return errors.New("over")
		}
		<-ctx.Done()
		return ctx.Err()
	}, nil)
}

func TestD8_GraceHoldsWhileTheServerHangs(t *testing.T) {
	for name, c := range map[string]struct {
		hangs bool
		works func(ctx context.Context) // what the handler does
		most  time.Duration
	}{
		"idle":                            {false, nil, 6 * time.Second},
		"idle, the store hangs":           {true, nil, 6 * time.Second},
		"ended":                           {false, func(context.Context) { pass(time.Second) }, 6 * time.Second},
		"ended, the store hangs":          {true, func(context.Context) { pass(time.Second) }, 6 * time.Second},
		"a handler runs":                  {false, func(context.Context) { pass(time.Minute) }, 10 * time.Second},
		"a handler runs, the store hangs": {true, func(context.Context) { pass(time.Minute) }, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(func(ctx context.Context, _ *raw) error { c.works(ctx); return nil })
				r := b.start(worker.Config{Grace: 3 * time.Second})
				if c.works != nil {
					id := b.push()
					within(t, time.Minute, "it runs", func() bool { return b.job(id).Reserved })
				} else {
					pass(time.Second)
				}
				b.standstill(c.hangs)
				pass(2 * time.Second)
				r.cancel()
				began := time.Now()
				_ = r.ended()
				if took := time.Since(began); took > c.most {
					t.Errorf("Run ended %v after its context", took)
				}
				pass(2 * time.Minute) // the handler returns
			})
		})
	}
}

func TestD2_MaxTimeHoldsWhileTheServerIsAwayOrHangs(t *testing.T) {
	away := func(b *bench) {
		b.store.intercept(func(context.Context, *driver.Exchange) error { return errors.New("connection refused") }, nil)
	}
	for name, stand := range map[string]func(b *bench){
		"away":                away,
		"hangs":               func(b *bench) { b.standstill(false) },
		"ignores its context": func(b *bench) { b.standstill(true) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.handle(func(context.Context, *raw) error { pass(5 * time.Second); return nil })
				began := time.Now()
				r := b.start(worker.Config{MaxTime: 30 * time.Second, Grace: 5 * time.Second})
				id := b.push()
				within(t, time.Minute, "it runs", func() bool { return b.job(id).Reserved })
				stand(b)
				_ = r.ended()
				if took := time.Since(began); took < 30*time.Second || took > 40*time.Second {
					t.Errorf("ended after %v", took)
				}
			})
		})
	}
	t.Run("from the start", func(t *testing.T) {
		bubble(t, func(t *testing.T, b *bench) {
			b.handle(answers(nil))
			b.store.check = func() error { return errors.New("connection refused") }
			began := time.Now()
			if err := b.start(worker.Config{MaxTime: 30 * time.Second}).ended(); err != nil {
				t.Errorf("Run: %v", err)
			}
			if took := time.Since(began); took < 30*time.Second || took > 31*time.Second {
				t.Errorf("ended after %v", took)
			}
		})
	})
}

func TestD12_AStoreThatIgnoresItsContextDoesNotHoldUpTheLoop(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(answers(nil))
		over := make(chan struct{})
		var hangs atomic.Bool
		b.store.intercept(func(context.Context, *driver.Exchange) error {
			if hangs.CompareAndSwap(true, false) {
				<-over
			}
			return nil
		}, nil)
		r := b.start(worker.Config{})
		pass(time.Second)
		hangs.Store(true)
		id := b.push()
		within(t, 20*time.Second, "done by another call", func() bool { return b.job(id) == nil })
		close(over)
		pass(time.Second)
		r.stop()
	})
}

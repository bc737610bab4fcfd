package worker_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestC5_Backoff(t *testing.T) {
	second := func(n ...int) []time.Duration {
		var ds []time.Duration
		for _, n := range n {
			ds = append(ds, time.Duration(n)*time.Second)
		}
		return ds
	}
	for name, c := range map[string]struct {
		worker worker.Backoff
		own    []sqlqueue.PushOption
		waits  []time.Duration
		by     float64 // how far from them by chance
	}{
		"fixed":       {worker: worker.FixedBackoff(3 * time.Second), waits: second(3, 3, 3)},
		"list":        {worker: worker.ListBackoff(second(1, 5, 10)...), waits: second(1, 5, 10, 10)},
		"exponential": {worker: worker.ExponentialBackoff(2*time.Second, 10*time.Second), waits: second(2, 4, 8, 10, 10), by: 0.25},
		"default":     {waits: second(1, 2, 4, 8, 16, 32, 64, 128), by: 0.25},
		"the job's own": {
			worker: worker.FixedBackoff(time.Hour),
			own:    []sqlqueue.PushOption{sqlqueue.BackoffList(second(2, 0)...)}, waits: second(2, 0, 0),
		},
		"negative": {worker: worker.FixedBackoff(-time.Hour), waits: second(0)},
		"panics":   {worker: func(int) time.Duration { panic("no") }, waits: second(1), by: 0.25},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				var ended time.Time
				var waits []time.Duration
				b.handle(func(_ context.Context, job *raw) error {
					if job.Attempts > 1 {
						waits = append(waits, time.Since(ended))
					}
					ended = time.Now()
					if job.Attempts > len(c.waits) {
						return nil
					}
					return errBroken
				})
				id := b.push(c.own...)
				r := b.start(worker.Config{Backoff: c.worker})
				within(t, 24*time.Hour, "done", func() bool { return b.job(id) == nil })
				r.stop()
				for i, want := range c.waits {
					least, most := float64(want)*(1-c.by), float64(want)*(1+c.by)
					if got := float64(waits[i]); got < least || got > most+float64(time.Millisecond) {
						t.Fatalf("wait %d is %v, want %v", i+1, waits[i], want)
					}
				}
			})
		})
	}
}

func TestC5_ExponentialBackoffAtItsEnds(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for _, c := range []struct {
		first, most time.Duration
		attempt     int
		want        time.Duration
	}{
		{time.Second, math.MaxInt64, 1000, century},
		{math.MaxInt64, math.MaxInt64, 1, century},
		{time.Hour, time.Minute, 1, time.Minute},
		{0, time.Hour, 5, 0},
		{-time.Hour, time.Hour, 5, 0},
		{time.Second, time.Hour, 0, time.Second},
	} {
		if got := worker.ExponentialBackoff(c.first, c.most)(c.attempt); got < c.want-c.want/4 || got > c.want+c.want/4 {
			t.Errorf("from %v to %v, after attempt %d: %v", c.first, c.most, c.attempt, got)
		}
	}
}

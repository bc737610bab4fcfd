package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

// wrong are the runs of which workers have written that they went wrong, the newest first.
func (b *bench) wrong() []operator.RunError {
	b.t.Helper()
	found, err := operator.New(b.q).Errors(b.t.Context(), operator.ErrorFilter{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	return found
}

func TestErrorsOfRunsAreWrittenSoon(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.mux.HandleFunc("long", func(context.Context, *raw) error { return errors.New(strings.Repeat("漢", 5000)) })
		b.mux.HandleFunc("panics", func(context.Context, *raw) error { panic("oh") })
		b.mux.HandleFunc("waits", func(context.Context, *raw) error { return worker.Release(time.Hour) })
		b.mux.HandleFunc("slow", func(context.Context, *raw) error {
			pass(250 * time.Millisecond)
			return worker.Fail(errors.New("no"))
		})
		b.handle(func(context.Context, *raw) error { return nil })
		b.start(worker.Config{Name: "w-1", Backoff: worker.ListBackoff(time.Hour)})
		pass(1500 * time.Millisecond) // since the first beat
		ids := map[string]int64{}
		for _, name := range []string{"long", "panics", "waits", "slow", "job"} {
			id, err := b.q.Push(t.Context(), sqlqueue.Named(name, nil))
			if err != nil {
				t.Fatal(err)
			}
			ids[name] = id
		}
		pass(2500 * time.Millisecond)
		got := map[int64]operator.RunError{}
		for _, e := range b.wrong() {
			got[e.JobID] = e
		}
		if len(got) != 3 {
			t.Fatalf("got %+v", got)
		}
		long, panics, slow := got[ids["long"]], got[ids["panics"]], got[ids["slow"]]
		if utf8.RuneCountInString(long.Error) != 1000 || !utf8.ValidString(long.Error) || long.Outcome != "released" || long.Attempt != 1 ||
			long.Name != "long" || long.Queue != "default" || long.Worker != "w-1" || long.Stack != "" {
			t.Errorf("got %+v", long)
		}
		if !strings.Contains(panics.Error, "oh") || !strings.Contains(panics.Stack, "failures_test.go") {
			t.Errorf("got %+v", panics)
		}
		if slow.Outcome != "failed" || slow.Error != "no" || slow.Took != 250*time.Millisecond || time.Since(slow.At) > 3*time.Second {
			t.Errorf("got %+v", slow)
		}
	})
}

// TestErrorsOfRunsAreBounded: a queue that fails as fast as it can must not fill the database.
func TestErrorsOfRunsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { return worker.Fail(errors.New("no")) })
		b.pushMany(300)
		b.start(worker.Config{})
		pass(4 * time.Second)
		if n := len(b.wrong()); n < 100 || n > 200 { // as many as one or two seconds have
			t.Errorf("%d errors were written, want 100 to 200", n)
		}
		if b.log.find("errors of runs were not written to the database, which gets so many a second") == nil {
			t.Errorf("nothing is said of the others:\n%s", b.log.all())
		}
	})
}

// TestErrorsOfRunsOutliveABeatThatFails: the next one writes them.
func TestErrorsOfRunsOutliveABeatThatFails(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.handle(func(context.Context, *raw) error { return worker.Fail(errors.New("no")) })
		r := b.start(worker.Config{})
		pass(time.Second)
		fails := 2
		b.store.interceptBeats(func(_ context.Context, beat *driver.Beat) error {
			if len(beat.Errors) > 0 && fails > 0 {
				fails--
				return errors.New("away")
			}
			return nil
		})
		b.push()
		pass(20 * time.Second)
		r.stop()
		if got := b.wrong(); len(got) != 1 || fails != 0 {
			t.Errorf("got %+v after %d failures", got, 2-fails)
		}
	})
}

func TestWorkersTellHowTheyAre(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		release := make(chan struct{})
		b.handle(func(context.Context, *raw) error { <-release; return nil })
		id := b.push()
		b.start(worker.Config{})
		pass(6 * time.Second)
		workers, err := operator.New(b.q).Workers(t.Context())
		if err != nil || len(workers) != 1 {
			t.Fatalf("got %+v, %v", workers, err)
		}
		w := workers[0]
		if w.Status != "running" || w.Busy != 1 || w.Memory <= 0 || len(w.Running) != 1 {
			t.Fatalf("got %+v", w)
		}
		if of := w.Running[0]; of.ID != id || of.Name != "job" || of.Queue != "default" || time.Since(of.Since) != 6*time.Second {
			t.Errorf("got %+v at %v", of, time.Now())
		}
		close(release)
		pass(6 * time.Second)
		if workers, _ = operator.New(b.q).Workers(t.Context()); workers[0].Busy != 0 || len(workers[0].Running) != 0 {
			t.Errorf("got %+v", workers[0])
		}
	})
}

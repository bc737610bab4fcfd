package worker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/worker"
)

var errNoMemory = errors.New("fork: out of memory")

func TestC11_AMachineThatCannotStartJobsFailsNone(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var able atomic.Bool
		var asked, ran atomic.Int32
		b.handle(func(context.Context, *raw) error {
			if asked.Add(1); !able.Load() {
				return fmt.Errorf("job: %w", worker.CannotStart(errNoMemory))
			}
			ran.Add(1)
			return nil
		})
		for range 50 {
			b.push(sqlqueue.Tries(1), sqlqueue.MaxExceptions(1))
		}
		r := b.start(worker.Config{})
		pass(50 * time.Second)
		// Pauses of 1, 2, 4, 8, 16, … seconds: after the first look one job each time.
		if got := asked.Load(); got > 20 {
			t.Errorf("%d jobs were tried in 50 s", got)
		}
		for _, job := range b.jobs() {
			if job.Attempts != 0 || job.Exceptions != 0 || job.Started {
				t.Fatalf("job %d has %d attempts and %d exceptions, started %t", job.ID, job.Attempts, job.Exceptions, job.Started)
			}
		}
		lines := b.log.find("this machine cannot start jobs: the worker reserves none for a while")
		if len(lines) != 6 || lines[0]["level"] != "ERROR" || lines[0]["error"] != "job: cannot start: fork: out of memory" {
			t.Errorf("logged %v", lines)
		}
		pauses := []float64{1, 2, 4, 8, 16, 32}
		for i, line := range lines[:min(len(lines), len(pauses))] {
			if got := time.Duration(line["pause"].(float64)); got != time.Duration(pauses[i])*time.Second {
				t.Errorf("pause %d is %v", i+1, got)
			}
		}

		able.Store(true)
		within(t, 3*time.Minute, "all have run", func() bool { return ran.Load() == 50 && len(b.jobs()) == 0 })
		r.stop()
		if n := len(b.failures()); n != 0 {
			t.Errorf("%d have failed", n)
		}
	})
}

func TestC11_ThePauseIsBoundedAndShortAgainAfterAJobThatBegan(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var able atomic.Bool
		b.handle(func(context.Context, *raw) error {
			if !able.Load() {
				return worker.CannotStart(errNoMemory)
			}
			return nil
		})
		const line = "this machine cannot start jobs: the worker reserves none for a while"
		last := func() time.Duration {
			lines := b.log.find(line)
			if len(lines) == 0 {
				return 0
			}
			return time.Duration(lines[len(lines)-1]["pause"].(float64))
		}
		id := b.push()
		r := b.start(worker.Config{})
		within(t, time.Hour, "the pause is as long as it gets", func() bool { return len(b.log.find(line)) > 10 })
		if last() != time.Minute {
			t.Errorf("the pause is %v", last())
		}
		able.Store(true)
		within(t, time.Hour, "the job has run", func() bool { return b.job(id) == nil })
		able.Store(false)
		before := len(b.log.find(line))
		b.push()
		within(t, time.Hour, "the next pause", func() bool { return len(b.log.find(line)) > before })
		if last() != time.Second {
			t.Errorf("after a job that began the pause is %v", last())
		}
		r.stop()
	})
}

// A last try whose start was told, and that could not begin, is there as before: a worker that dies in the next attempt loses no job.
func TestC11_ALastTryThatNeverBeganIsNotStarted(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var able atomic.Bool
		b.handle(func(_ context.Context, job *raw) error {
			if job := b.job(job.ID); !job.Started {
				t.Error("the start of the last try was not told")
			}
			if !able.Load() {
				return worker.CannotStart(errNoMemory)
			}
			return nil
		})
		id := b.push(sqlqueue.Tries(1))
		r := b.start(worker.Config{})
		within(t, time.Minute, "it was put back", func() bool { return len(b.log.find("cannot start")) == 1 && !b.job(id).Reserved })
		if job := b.job(id); job.Started || job.Attempts != 0 {
			t.Errorf("put back as %+v", *job)
		}
		able.Store(true)
		within(t, 3*time.Minute, "it has run", func() bool { return b.job(id) == nil })
		r.stop()
		b.gone(id)
	})
}

func TestC11_ARemoteProcessCannotStart(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(answers(worker.CannotStart(errNoMemory)))
		id := b.push(sqlqueue.Tries(1))
		far := b.mux
		b.mux = far.Remote(func(ctx context.Context, _ worker.JobInfo, request []byte) ([]byte, error) {
			return far.RunPacked(ctx, request, nil, nil), nil
		})
		b.drain(worker.Config{})
		if job := b.job(id); job == nil || job.Attempts != 0 || job.Started {
			b.t.Errorf("put back as %+v", job)
		}
		b.logged("cannot start", 1)
	})
}

// jobs are all that there are.
func (b *bench) jobs() []sqlqueue.Job {
	b.t.Helper()
	jobs, err := operator.New(b.q).Jobs(b.t.Context(), operator.JobFilter{})
	if err != nil {
		b.t.Fatal(err)
	}
	return jobs
}

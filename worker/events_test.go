package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

func TestD11_Events(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		var seen notes
		begin := func(what string) func(job worker.JobInfo) {
			return func(job worker.JobInfo) { seen.add("%s %s %d", what, job.Name, job.Attempts) }
		}
		end := func(what string) func(job worker.JobInfo, result worker.Result) {
			return func(job worker.JobInfo, result worker.Result) {
				seen.add("%s %s %d: %v %v %v", what, job.Name, job.Attempts, result.Took, result.Delay, result.Err)
			}
		}
		b.handle(func(_ context.Context, job *raw) error {
			pass(time.Second)
			switch job.Attempts {
			case 1:
				return errBroken
			case 2:
				return worker.Fail(errBroken)
			}
			return nil
		})
		b.push()
		r := b.start(worker.Config{
			Queues: []string{"default"}, Name: "n", Backoff: worker.FixedBackoff(time.Minute),
			Events: worker.Events{
				Starting: func(w driver.Worker) { seen.add("starting %s %s %d", w.Name, w.Queues, w.Concurrency) },
				Idle:     func() { seen.add("idle") },
				Stopping: func(reason string) { seen.add("stopping: %s", reason) },
				Reserved: begin("reserved"), Processing: begin("processing"),
				Processed: end("processed"), Released: end("released"), Failed: end("failed"),
			},
		})
		pass(2 * time.Minute)
		at := time.Now().UnixMicro()
		const insert = `INSERT INTO jobs (payload, attempts, available_at) VALUES ('{"job":"job"}', 2, ?)`
		if _, err := b.db.ExecContext(b.t.Context(), insert, at); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		r.stop()
		seen.want(t,
			"starting n [default] 10",
			"reserved job 1", "processing job 1", "released job 1: 1s 1m0s broken", "idle",
			"reserved job 2", "processing job 2", "failed job 2: 1s 0s broken", "idle",
			"reserved job 3", "processing job 3", "processed job 3: 1s 0s <nil>", "idle",
			"stopping: context ended",
		)
	})
}

func TestD11_AnEventThatPanicsHurtsNobody(t *testing.T) {
	bubble(t, func(_ *testing.T, b *bench) {
		b.handle(answers(nil))
		id := b.push()
		b.drain(worker.Config{Events: worker.Events{Processing: func(worker.JobInfo) { panic("no") }}})
		b.gone(id)
		b.logged("event function went wrong", 1)
	})
}

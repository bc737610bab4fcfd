package promqueue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sqlqueue/sqlqueue/promqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
	"github.com/sqlqueue/sqlqueue/worker"
)

// value returns the sum of a metric's series that have all these labels, and how many there are.
func value(t *testing.T, from prometheus.Gatherer, name string, labels ...string) (sum float64, series int) {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetName()+"="+l.GetValue())
			}
			all := strings.Join(has, " ") + " "
			matches := true
			for _, want := range labels {
				matches = matches && strings.Contains(all, want+" ")
			}
			if matches {
				series++
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum, series
}

// wants checks a metric's sum.
func wants(t *testing.T, from prometheus.Gatherer, sum float64, name string, labels ...string) {
	t.Helper()
	if got, series := value(t, from, name, labels...); got != sum || series == 0 {
		t.Errorf("%s%v is %v in %d series, want %v", name, labels, got, series, sum)
	}
}

func TestWhatWorkersDoIsMeasured(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	q := sqlqueuetest.New(t, sqlqueue.Config{OnPush: promqueue.Pushes(registry)})
	mux := worker.NewMux()
	for name, err := range map[string]error{
		"done": nil, "failed": worker.Fail(errors.New("no")), "released": errors.New("no"),
		"snoozed": worker.Snooze(time.Hour), "discarded": worker.Discard(),
	} {
		mux.HandleFunc(name, func(context.Context, *worker.Job[json.RawMessage]) error { return err })
	}
	mux.HandleFunc("slow", func(ctx context.Context, _ *worker.Job[json.RawMessage]) error {
		<-ctx.Done()
		return ctx.Err()
	}, worker.Settings{Timeout: time.Millisecond})
	for _, name := range []string{"done", "failed", "released", "snoozed", "discarded", "slow", "unknown"} {
		if _, err := q.Push(t.Context(), sqlqueue.Named(name, nil)); err != nil {
			t.Fatal(err)
		}
	}
	config := worker.Config{StopWhenEmpty: true, Concurrency: 3, Backoff: worker.FixedBackoff(time.Hour)}
	promqueue.Worker(registry).Install(&config)
	promqueue.Worker(registry) // that of another worker in this process
	if err := worker.New(q.Queue, mux, config).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"done", "failed", "released", "snoozed", "discarded"} {
		wants(t, registry, 1, "sqlqueue_jobs_ended_total", "queue=default", "name="+name, "outcome="+name)
		wants(t, registry, 1, "sqlqueue_jobs_ended_total", "name="+name)
		wants(t, registry, 1, "sqlqueue_job_run_seconds", "name="+name)
	}
	wants(t, registry, 1, "sqlqueue_jobs_ended_total", "name=unknown", "outcome=unhandled")
	wants(t, registry, 0, "sqlqueue_job_run_seconds", "name=unknown")
	wants(t, registry, 1, "sqlqueue_job_timeouts_total", "name=slow")
	wants(t, registry, 6, "sqlqueue_job_wait_seconds", "queue=default")
	wants(t, registry, 7, "sqlqueue_pushed_total")
	wants(t, registry, 0, "sqlqueue_reservations_lost_total", "queue=default")
	wants(t, registry, 0, "sqlqueue_worker_busy")
	wants(t, registry, 0, "sqlqueue_worker_limit")
	wants(t, registry, 0, "sqlqueue_exchange_failures_total")
	if n, _ := value(t, registry, "sqlqueue_exchange_seconds"); n == 0 {
		t.Error("no exchange was measured")
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	var config worker.Config
	promqueue.Worker(registry).Install(&config)
	end := func(queue, name string) {
		config.Meter.Ended(worker.JobInfo{Queue: queue, Name: name}, worker.Result{Outcome: worker.Done, Took: 1})
	}
	for i := range 1000 {
		end("mail", fmt.Sprint("name", i))
	}
	for i := range 1000 {
		end(fmt.Sprint("queue", i), "send")
		end(fmt.Sprint("import/b", i), "\xff")
	}
	wants(t, registry, 3000, "sqlqueue_jobs_ended_total")
	if _, series := value(t, registry, "sqlqueue_jobs_ended_total", "outcome=done"); series > 500+200+1 {
		t.Errorf("%d pairs have series", series)
	}
	if _, series := value(t, registry, "sqlqueue_job_wait_seconds"); series > 201 {
		t.Errorf("%d queues have series", series)
	}
	wants(t, registry, 1000, "sqlqueue_jobs_ended_total", "queue=import/b*")
	wants(t, registry, 500, "sqlqueue_jobs_ended_total", "queue=mail", "name=other")
}

// What a job costs besides: no allocation.
func TestMeasuringDoesNotAllocate(t *testing.T) {
	run := measured()
	if got := testing.AllocsPerRun(1000, run); got > 0 {
		t.Errorf("%.1f allocations for each job, want none", got)
	}
}

// BenchmarkJob is what the metrics cost a job: at most a microsecond on an idle machine.
func BenchmarkJob(b *testing.B) {
	run := measured()
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
	if per := b.Elapsed() / time.Duration(b.N); per > time.Microsecond {
		b.Errorf("%v for each job, want at most a microsecond", per)
	}
}

func measured() func() {
	var config worker.Config
	promqueue.Worker(prometheus.NewRegistry()).Install(&config)
	job := worker.JobInfo{Queue: "mail", Name: "send_invoice"}
	result := worker.Result{Outcome: worker.Done, Took: 30 * time.Millisecond, Waited: time.Second}
	run := func() {
		config.Meter.Started(job)
		config.Meter.Returned(job)
		config.Meter.Ended(job, result)
	}
	run()
	return run
}

package promqueue

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/worker"
)

var (
	runBuckets      = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	waitBuckets     = []float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 1800, 7200}
	exchangeBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .5, 1, 5}
)

// nativeFactor is how much wider each bucket of a native histogram is than the one before.
const nativeFactor = 1.19

// WorkerMetrics is what the workers of this process do. It is safe for concurrent use.
type WorkerMetrics struct {
	runs     *pairs[*runSeries]
	waits    *prometheus.HistogramVec
	lost     *prometheus.CounterVec
	stuck    prometheus.Counter
	busy     prometheus.Gauge
	limit    prometheus.Gauge
	requeued prometheus.Counter
	exchange prometheus.Histogram
	failures prometheus.Counter
}

// runSeries is the series of one pair of queue and name.
type runSeries struct {
	ended    map[worker.Outcome]prometheus.Counter
	took     prometheus.Observer
	waited   prometheus.Observer
	timeouts prometheus.Counter
	lost     prometheus.Counter
}

// outcomes are those that are counted: a job that was not started has not run.
var outcomes = []worker.Outcome{worker.Done, worker.Discarded, worker.Released, worker.Snoozed, worker.Failed, worker.Unhandled}

// Worker registers the metrics of this process's workers. Several workers may share what it returns. It panics if the registry has other
// metrics of these names.
func Worker(registry prometheus.Registerer) *WorkerMetrics {
	w := &WorkerMetrics{
		waits: register(registry, prometheus.NewHistogramVec(histogram("job_wait_seconds",
			"How long jobs were due before their handlers started.", waitBuckets), []string{"queue"})),
		lost: register(registry,
			counterVec("reservations_lost_total", "Reservations that were lost while this process held them.", "queue")),
		stuck: register(registry, counter("handlers_stuck_total", "Handlers that did not return in time after their timeout.")),
		busy:  register(registry, gauge("worker_busy", "Handlers that run now.")),
		limit: register(registry, gauge("worker_limit", "How many handlers may run at once.")),
		requeued: register(registry, counter("requeued_total",
			"Jobs of dead workers that this process has put back.")),
		exchange: register(registry, prometheus.NewHistogram(histogram("exchange_seconds",
			"How long exchanges with the database took.", exchangeBuckets))),
		failures: register(registry, counter("exchange_failures_total", "Exchanges with the database that failed.")),
	}
	ended := register(registry, counterVec("jobs_ended_total", "Runs of jobs that have ended.", "queue", "name", "outcome"))
	took := register(registry, prometheus.NewHistogramVec(histogram("job_run_seconds", "How long handlers ran.", runBuckets),
		[]string{"queue", "name"}))
	timeouts := register(registry, counterVec("job_timeouts_total", "Runs that were longer than their timeout.", "queue", "name"))
	w.runs = newPairs(func(p pair) *runSeries {
		s := &runSeries{
			ended: map[worker.Outcome]prometheus.Counter{}, took: took.WithLabelValues(p.queue, p.name),
			waited:   w.waits.WithLabelValues(p.queue),
			timeouts: timeouts.WithLabelValues(p.queue, p.name), lost: w.lost.WithLabelValues(p.queue),
		}
		for _, outcome := range outcomes { // at 0 from the first sight: otherwise increase() misses the first failure
			s.ended[outcome] = ended.WithLabelValues(p.queue, p.name, string(outcome))
		}
		return s
	})
	return w
}

// Install has the workers of a config be measured. What the config's Meter was before is called too.
func (w *WorkerMetrics) Install(config *worker.Config) {
	config.Meter = worker.Meters(config.Meter, w.meter())
}

func (w *WorkerMetrics) meter() worker.Meter {
	return worker.Meter{
		Started: func(job worker.JobInfo) {
			w.runs.of(job.Queue, job.Name)
			w.busy.Inc()
		},
		Returned: func(worker.JobInfo) { w.busy.Dec() },
		Ended:    w.ended,
		Lost:     func(job worker.JobInfo) { w.runs.of(job.Queue, job.Name).lost.Inc() },
		Stuck:    func(worker.JobInfo) { w.stuck.Inc() },
		Slots:    func(change int) { w.limit.Add(float64(change)) },
		Exchanged: func(took time.Duration, answer driver.Exchanged, err error) {
			w.exchange.Observe(took.Seconds())
			if err != nil {
				w.failures.Inc()
			}
			w.requeued.Add(float64(answer.Requeued))
		},
	}
}

func (w *WorkerMetrics) ended(job worker.JobInfo, result worker.Result) {
	s := w.runs.of(job.Queue, job.Name)
	if ended := s.ended[result.Outcome]; ended != nil {
		ended.Inc()
	}
	if result.TimedOut {
		s.timeouts.Inc()
	}
	if result.Took > 0 {
		s.took.Observe(result.Took.Seconds())
		s.waited.Observe(result.Waited.Seconds())
	}
}

func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: nativeFactor, NativeHistogramMaxBucketNumber: 160,
	}
}

func counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
}

package promqueue

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const (
	fresh     = 10 * time.Second // how old a look at the database may be
	patience  = 5 * time.Second  // how long a scrape waits for one
	lookFor   = 30 * time.Second // how long one may take
	countedTo = 10_000           // how far jobs of a queue and state are counted
)

// Collector returns the metrics of what the queues hold and who works, which one process of all should have. It looks at the database when
// it is scraped, at most every 10 s. A scrape waits for that 5 s at most; when the database does not answer by then, there is sqlqueue_up 0
// and nothing else about it.
func Collector(q *sqlqueue.Queue) prometheus.Collector {
	return &collector{look: func(ctx context.Context) (looked, error) { return lookAt(ctx, q) }, known: map[string]bool{}}
}

// looked is what a look has found.
type looked struct {
	queues  []operator.QueueInfo
	workers []operator.Worker
	now     time.Time // the database's clock
}

func lookAt(ctx context.Context, q *sqlqueue.Queue) (l looked, err error) {
	o := operator.New(q)
	if l.queues, err = o.Queues(ctx, countedTo); err != nil {
		return l, err
	}
	if l.workers, err = o.Workers(ctx); err != nil {
		return l, err
	}
	l.now, err = o.Now(ctx)
	return l, err
}

type collector struct {
	look func(context.Context) (looked, error)

	mu     sync.Mutex
	at     time.Time // when the last look began; zero: there was none
	last   *flight
	flight *flight // under way; nil: none

	knownMu sync.Mutex
	known   map[string]bool // queues that have series, by label
}

// flight is one look, for all who wait for it.
type flight struct {
	landed chan struct{}
	looked looked
	err    error
	took   time.Duration
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

var (
	descJobs    = desc("queue_jobs", "Jobs in a queue, counted to 10,000.", "queue", "state")
	descOldest  = desc("queue_oldest_ready_seconds", "Since when the oldest ready job of a queue has been due; 0: none is ready.", "queue")
	descPaused  = desc("queue_paused", "Whether the queue, or all queues, are paused or in maintenance.", "queue")
	descWorkers = desc("workers", "Workers that have registered; a dead one was not seen for 30 s.", "state")
	descSlots   = desc("worker_slots", "How many handlers all live workers may run at once.")
	descUp      = desc("up", "Whether the database has answered.")
	descLook    = desc("look_seconds", "How long the last look at the database took.")
)

// Describe is prometheus.Collector's.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descJobs, descOldest, descPaused, descWorkers, descSlots, descUp, descLook} {
		to <- d
	}
}

// Collect is prometheus.Collector's.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	f := c.await()
	if f == nil || f.err != nil {
		send(descUp, 0)
		return
	}
	send(descUp, 1)
	send(descLook, f.took.Seconds())
	live, dead, slots := 0, 0, 0
	for _, w := range f.looked.workers {
		if w.Dead {
			dead++
			continue
		}
		live++
		slots += cmp.Or(w.WantedConcurrency, w.Concurrency)
	}
	send(descWorkers, float64(live), "live")
	send(descWorkers, float64(dead), "dead")
	send(descSlots, float64(slots))
	for queue, s := range c.sums(f.looked) {
		for state, n := range map[string]int64{"ready": s.ready, "delayed": s.delayed, "reserved": s.reserved, "failed": s.failed} {
			send(descJobs, float64(n), queue, state)
		}
		send(descOldest, s.oldest.Seconds(), queue)
		paused := 0.
		if s.paused {
			paused = 1
		}
		send(descPaused, paused, queue)
	}
}

// await returns a look that is fresh, or nil if there is none in time. Of many who ask at once, one looks.
func (c *collector) await() *flight {
	c.mu.Lock()
	if c.last != nil && time.Since(c.at) < fresh {
		defer c.mu.Unlock()
		return c.last
	}
	f := c.flight
	if f == nil {
		f = &flight{landed: make(chan struct{})}
		c.flight = f
		go c.fly(f)
	}
	c.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-f.landed:
		return f
	case <-timer.C:
		return nil
	}
}

func (c *collector) fly(f *flight) {
	ctx, stop := context.WithTimeout(context.Background(), lookFor)
	defer stop()
	began := time.Now()
	f.looked, f.err = c.look(ctx)
	f.took = time.Since(began)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.at, c.flight = f, time.Now(), nil
	if f.err != nil {
		c.last = nil // the next scrape looks again
	}
	close(f.landed)
}

// sum is what the queues of one label hold together.
type sum struct {
	ready, delayed, reserved, failed int64
	oldest                           time.Duration
	paused                           bool
}

// sums returns what there is to tell of each queue: also of those that were seen before and hold nothing now.
func (c *collector) sums(l looked) map[string]*sum {
	c.knownMu.Lock()
	defer c.knownMu.Unlock()
	queues := l.queues
	allPaused := false
	if len(queues) > 0 && queues[0].Queue == "" {
		allPaused = queues[0].Control.Paused || queues[0].Control.Maintenance
		queues = queues[1:]
	}
	here := map[string]bool{}
	for _, q := range queues {
		here[text(queueLabel(q.Queue))] = true
	}
	c.admit(here)
	sums := map[string]*sum{}
	for queue := range c.known {
		sums[queue] = &sum{paused: allPaused}
	}
	for _, q := range queues {
		label := text(queueLabel(q.Queue))
		if !c.known[label] {
			label = other
		}
		s := sums[label]
		if s == nil {
			s = &sum{paused: allPaused}
			sums[label] = s
		}
		s.ready, s.delayed, s.reserved, s.failed = s.ready+q.Ready, s.delayed+q.Delayed, s.reserved+q.Reserved, s.failed+q.Failed
		s.paused = s.paused || q.Control.Paused || q.Control.Maintenance
		if !q.Oldest.IsZero() {
			s.oldest = max(s.oldest, l.now.Sub(q.Oldest))
		}
	}
	return sums
}

// admit gives series to queues, as long as there is room. Those that are gone make room for others.
func (c *collector) admit(here map[string]bool) {
	var gone []string
	for queue := range c.known {
		if !here[queue] {
			gone = append(gone, queue)
		}
	}
	slices.Sort(gone)
	for _, queue := range slices.Sorted(maps.Keys(here)) {
		if c.known[queue] {
			continue
		}
		if len(c.known) >= mostQueues {
			if len(gone) == 0 {
				return
			}
			delete(c.known, gone[0])
			gone = gone[1:]
		}
		c.known[queue] = true
	}
}

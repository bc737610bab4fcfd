package dashboard

import (
	"net/http"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// workerAlive is how long ago a worker that runs can have written its row, which it does every 5 s.
const workerAlive = 30 * time.Second

// queueRow is a queue as the pages show it.
type queueRow struct {
	operator.QueueInfo
	Says  string // operators' controls of it
	Late  bool   // its oldest job has waited long
	Rate  string // done in a minute
	Spark spark
}

type overviewData struct {
	Ready, Reserved, Delayed, Failed string
	Oldest                           time.Time
	Done, Failing, Again             string // per minute
	IsFailing, HasFailed             bool
	Slots, Workers, Dead             int
	All                              queueRow // operators' controls of all queues
	Queues                           []queueRow
	charts
}

// rateOver is what rates are taken over.
const rateOver = 5 * time.Minute

func (v *visit) overview() error {
	s, err := v.look()
	if err != nil {
		return err
	}
	d := overviewData{}
	var total operator.QueueInfo
	more := map[*int64]bool{}
	count := func(to *int64, n int64, limit int64) {
		add(to, n)
		more[to] = more[to] || limit > 0 && n >= limit
	}
	for _, info := range s.Queues {
		row := rowOf(v.language, info, s)
		if info.Queue == "" {
			d.All = row
			continue
		}
		d.Queues = append(d.Queues, row)
		count(&total.Ready, info.Ready, info.CountedTo)
		count(&total.Reserved, info.Reserved, info.CountedTo)
		count(&total.Delayed, info.Delayed, info.CountedTo)
		count(&total.Failed, info.Failed, info.CountedTo)
		if !info.Oldest.IsZero() && (total.Oldest.IsZero() || info.Oldest.Before(total.Oldest)) {
			total.Oldest = info.Oldest
		}
	}
	text := func(n *int64) string {
		if more[n] {
			return grouped(*n) + "+"
		}
		return grouped(*n)
	}
	d.Ready, d.Reserved, d.Delayed, d.Failed = text(&total.Ready), text(&total.Reserved), text(&total.Delayed), text(&total.Failed)
	d.Oldest, d.HasFailed = total.Oldest, total.Failed > 0
	recent := seriesOf(s.Counts, nil, rateOver, time.Minute)
	failing := sum(recent.Failed)
	d.Done, d.Failing, d.Again, d.IsFailing = perMinute(sum(recent.Done), rateOver), perMinute(failing, rateOver),
		perMinute(sum(recent.Again), rateOver), failing > 0
	for _, w := range s.Workers {
		if s.Now.Sub(w.SeenAt) > workerAlive {
			d.Dead++
			continue
		}
		d.Workers++
		d.Slots += slots(w)
	}
	if d.charts, err = v.charts(s, nil); err != nil {
		return err
	}
	return v.render(http.StatusOK, "overview", &page{Title: v.say("overview"), Here: "overview", Live: true, D: d})
}

// slots is how many jobs a worker runs at once.
func slots(w operator.Worker) int {
	if w.WantedConcurrency > 0 {
		return w.WantedConcurrency
	}
	return w.Concurrency
}

func rowOf(l *language, info operator.QueueInfo, s snapshot) queueRow {
	const late = 10 * time.Minute
	return queueRow{
		QueueInfo: info,
		Says:      l.told(info.Control, s.Now),
		Late:      !info.Oldest.IsZero() && s.Now.Sub(info.Oldest) > late,
		Rate:      perMinute(sum(seriesOf(s.Counts, &info.Queue, rateOver, time.Minute).Done), rateOver),
		Spark:     sparkOf(l, seriesOf(s.Counts, &info.Queue, time.Hour, time.Minute)),
	}
}

// chartSpan is a period, and the time of each point of its chart. Step 0: the chart is of the counts by name, which are kept longer.
type chartSpan struct {
	name       string
	last, step time.Duration
}

// chartStep is the step of the counts that charts of more than an hour are drawn from.
const chartStep = 30 * time.Minute

// chartSpans are the periods that the charts of queues offer.
var chartSpans = [...]chartSpan{
	{"1h", time.Hour, time.Minute},
	{"24h", 24 * time.Hour, chartStep},
	{"48h", 48 * time.Hour, 2 * chartStep},
	{"7d", 7 * 24 * time.Hour, 0},
	{"30d", operator.NamesKept, 0},
}

// charts are those of a queue, or of all.
type charts struct {
	Chart  chart
	Sizes  lines
	Range  string
	Ranges []string
}

// charts draws the last hour, or what ?range= says, of a queue or of all. Further back, and in sizes, a queue's first level counts as one.
func (v *visit) charts(s snapshot, queue *string) (c charts, err error) {
	i := 0
	for j, other := range chartSpans {
		c.Ranges = append(c.Ranges, other.name)
		if other.name == v.query.Get("range") {
			i = j
		}
	}
	span := chartSpans[i]
	c.Range = span.name
	var level *string
	var sizes []operator.SizePart
	if queue == nil {
		sizes, err = v.allSizes[i].get(v.ctx())
	} else {
		first := driver.FirstLevel(*queue)
		level = &first
		sizes, err = v.operator.Sizes(v.ctx(), first, span.last)
	}
	if err != nil {
		return c, err
	}
	c.Sizes = sizesChart(v.language, sizes)
	if span.step == 0 {
		i := slices.IndexFunc(nameSpans[:], func(of nameSpan) bool { return of.name == span.name })
		counts, err := v.names[i].get(v.ctx())
		if err == nil {
			c.Chart = chartOf(v.language, levelSeries(counts, level))
		}
		return c, err
	}
	counts := s.Counts
	if span.last > time.Hour {
		if counts, err = v.byStep.get(v.ctx()); err != nil {
			return c, err
		}
	}
	c.Chart = chartOf(v.language, seriesOf(counts, queue, span.last, span.step))
	return c, nil
}

// told describes operators' controls of a queue.
func (l *language) told(c operator.Control, now time.Time) string {
	switch {
	case c.Maintenance:
		return l.say("control.down")
	case c.Paused && !c.PausedUntil.IsZero():
		return l.say("control.until", l.roughly(c.PausedUntil.Sub(now)))
	case c.Paused:
		return l.say("control.paused")
	}
	return ""
}

package dashboard

import (
	"net/http"
	"time"

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
	Chart                            chart
	Range                            string
	Ranges                           []string
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
		row := rowOf(info, s)
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
	if d.Chart, d.Range, err = v.chart(s, nil); err != nil {
		return err
	}
	d.Ranges = []string{"1h", "24h", "48h"}
	return v.render(http.StatusOK, "overview", &page{Title: say("overview"), Here: "overview", Live: true, D: d})
}

// slots is how many jobs a worker runs at once.
func slots(w operator.Worker) int {
	if w.WantedConcurrency > 0 {
		return w.WantedConcurrency
	}
	return w.Concurrency
}

func rowOf(info operator.QueueInfo, s snapshot) queueRow {
	const late = 10 * time.Minute
	return queueRow{
		QueueInfo: info,
		Says:      told(info.Control, s.Now),
		Late:      !info.Oldest.IsZero() && s.Now.Sub(info.Oldest) > late,
		Rate:      perMinute(sum(seriesOf(s.Counts, &info.Queue, rateOver, time.Minute).Done), rateOver),
		Spark:     sparkOf(seriesOf(s.Counts, &info.Queue, time.Hour, time.Minute)),
	}
}

// chart draws the last hour, or what ?range= says, of a queue or of all.
func (v *visit) chart(s snapshot, queue *string) (c chart, span string, err error) {
	switch span = v.query.Get("range"); span {
	case "24h", "48h":
		counts, err := v.history.get(v.ctx())
		if err != nil {
			return c, span, err
		}
		if span == "24h" {
			return chartOf(seriesOf(counts, queue, 24*time.Hour, 10*time.Minute)), span, nil
		}
		return chartOf(seriesOf(counts, queue, 48*time.Hour, 20*time.Minute)), span, nil
	}
	return chartOf(seriesOf(s.Counts, queue, time.Hour, time.Minute)), "1h", nil
}

// told describes operators' controls of a queue.
func told(c operator.Control, now time.Time) string {
	switch {
	case c.Maintenance:
		return say("control.down")
	case c.Paused && !c.PausedUntil.IsZero():
		return say("control.until", roughly(c.PausedUntil.Sub(now)))
	case c.Paused:
		return say("control.paused")
	}
	return ""
}

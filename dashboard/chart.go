package dashboard

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// series are the counts of a queue, or of all, in whole steps of time, the
// oldest first. The current minute is left out, because it would look like a
// drop.
type series struct {
	Begin  time.Time
	Step   time.Duration
	Pushed []int64 // nil: not known
	Done   []int64
	Failed []int64
	Again  []int64 // runs that ended with an error or a release, and whose jobs run again
}

// seriesOf sums the counts of the last span. Queue nil: of all queues.
func seriesOf(counts operator.Counts, queue *string, span, step time.Duration) series {
	end := counts.Now.Truncate(time.Minute)
	n := int(span / step)
	s := series{end.Add(-span), step, make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)}
	for _, c := range counts.Minutes {
		if c.Minute.Before(s.Begin) || !c.Minute.Before(end) || queue != nil && c.Queue != *queue {
			continue
		}
		i := int(c.Minute.Sub(s.Begin) / step)
		add(&s.Pushed[i], c.Pushed)
		add(&s.Done[i], c.Done)
		add(&s.Failed[i], c.Failed)
		add(&s.Again[i], c.Released)
	}
	return s
}

// add keeps a sum from overflowing.
func add(to *int64, n int64) { *to = min(*to, math.MaxInt64-max(n, 0)) + max(n, 0) }

// chart is what the template draws, 1000 wide and 140 high.
type chart struct {
	Label                string
	Done, Pushed, Failed string // points
	Ys                   []tick
	Xs                   []tick
	Rows                 []chartRow
	Unit                 string
}

type chartRow struct {
	At                   time.Time
	Minute               string
	Done, Failed, Pushed int64
}

func chartOf(l *language, s series) chart {
	scale := scaleOf(s.Pushed, s.Done, s.Failed)
	line := func(numbers []int64) string {
		var b strings.Builder
		for i, n := range numbers {
			fmt.Fprintf(&b, "%.5g,%.4g ", scale.x(i), scale.y(float64(n)))
		}
		return strings.TrimSpace(b.String())
	}
	c := chart{Done: line(s.Done), Pushed: line(s.Pushed), Failed: line(s.Failed), Unit: unit(l, s.Step)}
	span := time.Duration(scale.n) * s.Step
	c.Ys, c.Xs = scale.ticks(short), timeTicks(s.Begin, s.Step, scale.n)
	for i := range s.Done {
		at := s.Begin.Add(time.Duration(i) * s.Step)
		row := chartRow{At: at, Minute: timeText(at, span), Done: s.Done[i], Failed: s.Failed[i]}
		if s.Pushed != nil {
			row.Pushed = s.Pushed[i]
		}
		c.Rows = append(c.Rows, row)
	}
	if c.Label = l.say("chart.label", sum(s.Done), sum(s.Failed), sum(s.Pushed), l.roughly(span)); s.Pushed == nil {
		c.Label = l.say("chart.label2", sum(s.Done), sum(s.Failed), l.roughly(span))
	}
	return c
}

func unit(l *language, step time.Duration) string {
	if step == time.Minute {
		return l.say("chart.minute")
	}
	return l.say("chart.unit", l.roughly(step))
}

func sum(numbers []int64) (total int64) {
	for _, n := range numbers {
		add(&total, n)
	}
	return total
}

// spark is a small chart of done jobs, 180 wide and 30 high, with a mark for each step with failed jobs.
type spark struct {
	Line, Area string
	Errs       []mark
	Label      string
}

type mark struct{ X, Y, H string }

func sparkOf(l *language, s series) spark {
	const width, height, errors = 180.0, 30.0, 8.0
	top, worst := int64(1), int64(1)
	for i := range s.Done {
		top, worst = max(top, s.Done[i]), max(worst, s.Failed[i])
	}
	var line strings.Builder
	var p spark
	for i, n := range s.Done {
		x := width * float64(i) / float64(max(len(s.Done)-1, 1))
		fmt.Fprintf(&line, "%.4g,%.3g ", x, height-1-(height-2)*float64(n)/float64(top))
		if s.Failed[i] > 0 {
			h := max(3, errors*float64(s.Failed[i])/float64(worst))
			p.Errs = append(p.Errs, mark{fmt.Sprintf("%.4g", min(x, width-2)), fmt.Sprintf("%.3g", height-h), fmt.Sprintf("%.3g", h)})
		}
	}
	p.Line = strings.TrimSpace(line.String())
	p.Area = fmt.Sprintf("0,%g %s %g,%g", height, p.Line, width, height)
	p.Label = l.say("spark.label", sum(s.Done), sum(s.Failed))
	return p
}

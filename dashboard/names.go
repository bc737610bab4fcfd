package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// nameSpan is a period, and how old what is shown of it may be.
type nameSpan struct {
	name        string
	last, fresh time.Duration
}

// nameSpans are the periods that the pages of names offer.
var nameSpans = [...]nameSpan{
	{"1h", time.Hour, 10 * time.Second},
	{"24h", 24 * time.Hour, time.Minute},
	{"7d", 7 * 24 * time.Hour, time.Minute},
	{"30d", operator.NamesKept, 5 * time.Minute},
}

// nameSpan returns the index of the span in ?range=.
func (v *visit) nameSpan() int {
	for i := range nameSpans {
		if nameSpans[i].name == v.query.Get("range") {
			return i
		}
	}
	return 0
}

func (d *Dashboard) loadNames(last time.Duration) func(context.Context) (operator.NameCounts, error) {
	return func(ctx context.Context) (operator.NameCounts, error) { return d.operator.Names(ctx, last) }
}

type nameRow struct {
	operator.NameStats
	Rate  string
	Share float64 // of the runs, in percent, that failed or were released
	Spark spark
}

type namesData struct {
	Rows   []nameRow
	All    int
	Sort   string
	Queue  string
	Queues []string
	Range  string
	Ranges []string
}

// Link is the page sorted by a column, or of another time.
func (d namesData) Link(sort, span string) string {
	values := url.Values{"sort": {sort}, "range": {span}}
	if d.Queue != "" {
		values.Set("queue", d.Queue)
	}
	return "?" + values.Encode()
}

// sortable is the head of a column by which names can be sorted.
type sortable struct {
	Word, Link string
	Num, On    bool
}

func newSortable(d namesData, by, word string) sortable {
	return sortable{word, d.Link(by, d.Range), by != "name" && by != "queue", d.Sort == by}
}

// sorts are what names can be sorted by, the greatest first, except for names and queues.
var sorts = map[string]func(a, b *nameRow) int{
	"name":     func(a, b *nameRow) int { return strings.Compare(a.Name, b.Name) },
	"queue":    func(a, b *nameRow) int { return strings.Compare(a.Queue, b.Queue) },
	"runs":     func(a, b *nameRow) int { return cmp.Compare(b.Runs(), a.Runs()) },
	"failed":   func(a, b *nameRow) int { return cmp.Compare(b.Failed, a.Failed) },
	"share":    func(a, b *nameRow) int { return cmp.Compare(b.Share, a.Share) },
	"run50":    func(a, b *nameRow) int { return cmp.Compare(b.Run.P50, a.Run.P50) },
	"run95":    func(a, b *nameRow) int { return cmp.Compare(b.Run.P95, a.Run.P95) },
	"run99":    func(a, b *nameRow) int { return cmp.Compare(b.Run.P99, a.Run.P99) },
	"wait50":   func(a, b *nameRow) int { return cmp.Compare(b.Wait.P50, a.Wait.P50) },
	"wait95":   func(a, b *nameRow) int { return cmp.Compare(b.Wait.P95, a.Wait.P95) },
	"released": func(a, b *nameRow) int { return cmp.Compare(b.Released, a.Released) },
}

// spanNames are the names of the spans.
func spanNames() (names []string) {
	for _, span := range nameSpans {
		names = append(names, span.name)
	}
	return names
}

func (v *visit) namesPage() error {
	i := v.nameSpan()
	counts, err := v.names[i].get(v.ctx())
	if err != nil {
		return err
	}
	d := namesData{Sort: v.query.Get("sort"), Queue: v.query.Get("queue"), Range: nameSpans[i].name, Ranges: spanNames()}
	if sorts[d.Sort] == nil {
		d.Sort = "runs"
	}
	for _, n := range counts.Names {
		if n.Queue != "" && !slices.Contains(d.Queues, n.Queue) {
			d.Queues = append(d.Queues, n.Queue)
		}
		if d.Queue != "" && n.Queue != d.Queue {
			continue
		}
		d.Rows = append(d.Rows, nameRow{
			NameStats: n, Rate: perMinute(n.Runs(), counts.Now.Sub(counts.Begin)), Share: share(n.Failed+n.Released, n.Runs()),
		})
	}
	slices.Sort(d.Queues)
	slices.SortStableFunc(d.Rows, func(a, b nameRow) int { return sorts[d.Sort](&a, &b) })
	d.All = len(d.Rows)
	d.Rows = d.Rows[:min(len(d.Rows), rowsOfPage)]
	for i := range d.Rows {
		row := &d.Rows[i]
		s := trendSeries(counts, row.Trend)
		row.Spark = sparkOf(v.language, s)
		row.Spark.Label = v.say("names.trend", row.Done, sum(s.Failed)+sum(s.Again), d.Range)
	}
	return v.render(http.StatusOK, "names", &page{Title: v.say("names"), Here: "names", Live: true, D: d})
}

// share is a part in percent, to one digit.
func share(part, of int64) float64 { return float64(part*1000/max(of, 1)) / 10 }

// trendSeries makes a series of a trend, without its last part, which is not over. Of a spark the marks are all runs that went wrong.
func trendSeries(counts operator.NameCounts, t operator.Trend) series {
	n := max(len(t.Done)-1, 0)
	s := series{Begin: counts.Begin, Step: counts.Step, Done: t.Done[:n], Failed: make([]int64, n), Again: make([]int64, n)}
	for i := range n {
		s.Failed[i] = t.Failed[i] + t.Released[i]
	}
	return s
}

// levelSeries sums the trends of all names of a queue's first level, or of all queues.
func levelSeries(counts operator.NameCounts, queue *string) series {
	n := max(int(counts.Now.Sub(counts.Begin)/counts.Step), 1)
	s := series{Begin: counts.Begin, Step: counts.Step, Done: make([]int64, n), Failed: make([]int64, n), Again: make([]int64, n)}
	for _, name := range counts.Names {
		if queue != nil && name.Queue != *queue {
			continue
		}
		for i := range min(n, len(name.Trend.Done)) {
			add(&s.Done[i], name.Trend.Done[i])
			add(&s.Failed[i], name.Trend.Failed[i])
			add(&s.Again[i], name.Trend.Released[i])
		}
	}
	return s
}

type nameData struct {
	Name, Queue string
	Stats       operator.NameStats
	Known       bool
	Rate        string
	Share       float64
	Charts      []lines
	Q           string // finds jobs of this name; empty: of all others
	Range       string
	Ranges      []string
}

func (v *visit) namePage() error {
	i := v.nameSpan()
	d := nameData{Name: v.query.Get("name"), Queue: v.query.Get("queue"), Range: nameSpans[i].name, Ranges: spanNames()}
	counts, err := v.names[i].get(v.ctx())
	if err != nil {
		return err
	}
	for _, n := range counts.Names {
		if n.Name == d.Name && n.Queue == d.Queue {
			d.Stats, d.Known = n, true
			d.Rate, d.Share = perMinute(n.Runs(), counts.Now.Sub(counts.Begin)), share(n.Failed+n.Released, n.Runs())
		}
	}
	if d.Name != "" {
		d.Q = joined("name", d.Name)
	}
	parts, err := v.operator.NameTrend(v.ctx(), d.Queue, d.Name, nameSpans[i].last)
	if err != nil {
		return err
	}
	if parts = parts[:len(parts)-1]; len(parts) > 0 { // the last part is not over
		var done, failed, released, run50, run95, run99, wait50, wait95 []int64
		micros := func(p operator.NamePart, s float64) int64 {
			if p.Done+p.Failed+p.Released == 0 {
				return -1
			}
			return int64(s * 1e6)
		}
		for _, p := range parts {
			done, failed, released = append(done, p.Done), append(failed, p.Failed), append(released, p.Released)
			run50, run95, run99 = append(run50, micros(p, p.Run.P50)), append(run95, micros(p, p.Run.P95)),
				append(run99, micros(p, p.Run.P99))
			wait50, wait95 = append(wait50, micros(p, p.Wait.P50)), append(wait95, micros(p, p.Wait.P95))
		}
		begin := parts[0].Begin
		write := func(us int64) string { return v.briefly(time.Duration(us) * time.Microsecond) }
		d.Charts = []lines{
			linesOf(v.language, "names.runs", unit(v.language, counts.Step), begin, counts.Step, short,
				values{v.say("legend.done"), done}, values{v.say("legend.failed"), failed}, values{v.say("names.released"), released}),
			linesOf(v.language, "names.run", v.say("lines.utc"), begin, counts.Step, write,
				values{"p50", run50}, values{"p95", run95}, values{"p99", run99}),
			linesOf(v.language, "names.wait", v.say("lines.utc"), begin, counts.Step, write, values{"p50", wait50},
				values{"p95", wait95}),
		}
	}
	title := d.Name
	if title == "" {
		title = v.say("names.others")
	}
	return v.render(http.StatusOK, "name", &page{Title: brief(80, title), Here: "names", Live: true, D: d})
}

// sizesFresh is how old the sizes of all queues may be: they are measured once a minute.
const sizesFresh = 10 * time.Second

func (d *Dashboard) loadSizes(last time.Duration) func(context.Context) ([]operator.SizePart, error) {
	return func(ctx context.Context) ([]operator.SizePart, error) { return d.operator.Sizes(ctx, "", last) }
}

// sizesChart draws what queues held.
func sizesChart(l *language, parts []operator.SizePart) lines {
	if len(parts) < 2 {
		return lines{}
	}
	var ready, delayed, reserved, failed []int64
	for _, p := range parts {
		if !p.Measured {
			p = operator.SizePart{Ready: -1, Delayed: -1, Reserved: -1, Failed: -1}
		}
		ready, delayed, reserved, failed = append(ready, p.Ready), append(delayed, p.Delayed), append(reserved, p.Reserved),
			append(failed, p.Failed)
	}
	return linesOf(l, "sizes", l.say("sizes.unit"), parts[0].Begin, parts[1].Begin.Sub(parts[0].Begin), short,
		values{l.say("ready"), ready}, values{l.say("failed"), failed}, values{l.say("running"), reserved},
		values{l.say("delayed"), delayed})
}

// apiNames has ?range= and ?queue=.
func (v *visit) apiNames() error {
	counts, err := v.names[v.nameSpan()].get(v.ctx())
	if err != nil {
		return err
	}
	all := []operator.NameStats{}
	for _, n := range counts.Names {
		if queue := v.query.Get("queue"); queue == "" || n.Queue == queue {
			all = append(all, n)
		}
	}
	v.writeJSON(http.StatusOK, all)
	return nil
}

// apiNameTrend has ?queue=, ?name= and ?range=.
func (v *visit) apiNameTrend() error {
	parts, err := v.operator.NameTrend(v.ctx(), v.query.Get("queue"), v.query.Get("name"), nameSpans[v.nameSpan()].last)
	if err != nil {
		return err
	}
	v.writeJSON(http.StatusOK, parts)
	return nil
}

// apiSizes has ?queue= and ?range=.
func (v *visit) apiSizes() error {
	parts, err := v.operator.Sizes(v.ctx(), v.query.Get("queue"), nameSpans[v.nameSpan()].last)
	if err != nil {
		return err
	}
	v.writeJSON(http.StatusOK, parts)
	return nil
}

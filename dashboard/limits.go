package dashboard

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const (
	mostGroups  = 100  // queues below one that are shown
	mostPermits = 5000 // queues whose limits are read
)

// permits are the limits, and how much of them the existing queues use.
type permits struct {
	limits []operator.Limit
	of     map[string][]operator.Permit
}

func (d *Dashboard) loadPermits(ctx context.Context) (p permits, err error) {
	if p.limits, err = d.operator.Limits(ctx); err != nil || len(p.limits) == 0 {
		return p, err
	}
	s, err := d.now.get(ctx)
	if err != nil {
		return p, err
	}
	var names []string
	for _, info := range s.Queues {
		if info.Queue != "" && len(names) < mostPermits {
			names = append(names, info.Queue)
		}
	}
	for _, l := range p.limits { // of a queue that holds nothing, too
		names = append(names, strings.TrimSuffix(l.Queue, "/*"))
	}
	slices.Sort(names)
	p.of, err = d.operator.Permits(ctx, slices.Compact(names)...)
	return p, err
}

// belowRow is a queue below another.
type belowRow struct {
	queueRow
	Most string    // how many of its jobs may run; empty: any number
	Full bool      // Most jobs run
	Next time.Time // when its next job may start by a rate; zero: now
}

// groups are the queues below one.
type groups struct {
	Rows  []belowRow // those with most ready jobs come first
	Count int
	More  bool
}

// limitRow is a limit as the page of a queue shows it.
type limitRow struct {
	operator.Permit
	Who  string // the queues to which it applies
	Text string
	Used bool // its usage is known
}

// groupsOf returns the queues below a queue, and the limits that apply to it or to those.
func (v *visit) groupsOf(name string, s snapshot) (g groups, limits []limitRow, err error) {
	if name == "" {
		return g, nil, nil
	}
	p, err := v.permits.get(v.ctx())
	if err != nil {
		return g, nil, err
	}
	for _, info := range s.Queues {
		if !strings.HasPrefix(info.Queue, name+"/") {
			continue
		}
		row := belowRow{queueRow: queueRow{QueueInfo: info, Says: v.told(info.Control, s.Now)}}
		for _, permit := range p.of[info.Queue] {
			if permit.Next.After(row.Next) {
				row.Next = permit.Next
			}
			if permit.Of == info.Queue && permit.Limit.Running > 0 {
				row.Most, row.Full = grouped(permit.Limit.Running), permit.Running >= permit.Limit.Running
			}
		}
		g.Rows = append(g.Rows, row)
	}
	slices.SortStableFunc(g.Rows, func(a, b belowRow) int { return cmp.Compare(b.Ready, a.Ready) })
	if g.Count = len(g.Rows); g.Count > mostGroups {
		g.Rows, g.More = g.Rows[:mostGroups], true
	}
	for _, permit := range p.of[name] {
		limits = append(limits, rowOfLimit(v.language, permit, true))
	}
	for _, l := range p.limits {
		if l.Queue == name+"/*" {
			limits = append(limits, rowOfLimit(v.language, operator.Permit{Limit: l}, false))
		}
	}
	return g, limits, nil
}

func rowOfLimit(l *language, p operator.Permit, used bool) limitRow {
	row := limitRow{Permit: p, Who: l.say("limit.sum"), Text: limitText(l, p.Limit), Used: used}
	if driver.IsPattern(p.Queue) {
		row.Who = l.say("limit.alone")
	}
	return row
}

func limitText(in *language, l operator.Limit) string {
	var says []string
	if l.Running > 0 {
		says = append(says, in.say("limit.most", grouped(l.Running)))
	}
	if l.Rate > 0 {
		says = append(says, in.say("limit.in", grouped(l.Rate), in.units(exactly(l.Per))))
	}
	if l.Burst > 0 {
		says = append(says, in.say("limit.at", grouped(l.Burst)))
	}
	return strings.Join(says, ", ")
}

// limitForm is a limit as it was typed.
type limitForm struct {
	Each                 bool
	Running, Rate, Burst string
	Wrong                string
}

// setLimit sets the limit of the queue that ?name= gives, or of each below it.
func (v *visit) setLimit() error {
	name := v.query.Get("name")
	typed := &limitForm{Each: v.form("of") == "each", Running: v.form("running"), Rate: v.form("rate"), Burst: v.form("burst")}
	keep := func(text string) error {
		typed.Wrong = text
		return v.showQueue(http.StatusUnprocessableEntity, typed)
	}
	limit, err := typed.limit()
	if err != nil {
		return keep(v.reason(err))
	}
	if limit.Queue = name; typed.Each {
		limit.Queue += "/*"
	}
	err = v.operator.SetLimit(v.ctx(), limit)
	switch {
	case err != nil && v.isAsked(err):
		return keep(v.reason(said(err)))
	case err != nil:
		return err
	}
	return v.done("queue", url.Values{"name": {name}}, "limited", -1)
}

// limit reads the form.
func (f *limitForm) limit() (l operator.Limit, err error) {
	const most = 1<<31 - 1
	if f.Running+f.Rate == "" {
		return l, &problem{http.StatusUnprocessableEntity, say("limit.nothing")}
	}
	if f.Running != "" {
		if l.Running, err = number(f.Running, 1, most); err != nil {
			return l, err
		}
	}
	if f.Rate != "" {
		count, per, ok := strings.Cut(f.Rate, "/")
		l.Rate, err = strconv.ParseInt(strings.TrimSpace(count), 10, 32)
		if !ok || err != nil || l.Rate < 1 {
			return l, &problem{http.StatusUnprocessableEntity, say("limit.form", brief(40, f.Rate))}
		}
		if l.Per, err = parseDuration(strings.TrimSpace(per)); err != nil {
			return l, err
		}
	}
	if f.Burst != "" {
		l.Burst, err = number(f.Burst, 1, most)
	}
	return l, err
}

// removeLimit removes the limit that ?limit= names.
func (v *visit) removeLimit() error {
	if err := v.operator.SetLimit(v.ctx(), operator.Limit{Queue: v.query.Get("limit")}); err != nil {
		return v.refusal(err)
	}
	return v.done("queue", url.Values{"name": {v.query.Get("name")}}, "removed", -1)
}

// apiLimit has the shape of sqlqueue limit list --json.
type apiLimit struct {
	Queue      string  `json:"queue"`
	Running    int64   `json:"running,omitzero"`
	Rate       int64   `json:"rate,omitzero"`
	PerSeconds float64 `json:"per_seconds,omitzero"`
	Burst      int64   `json:"burst,omitzero"`
}

func (v *visit) apiLimits() error {
	p, err := v.permits.get(v.ctx())
	if err != nil {
		return err
	}
	return writeList(v, p.limits, func(l operator.Limit) apiLimit {
		limit := apiLimit{Queue: l.Queue, Running: l.Running, Rate: l.Rate, Burst: l.Burst}
		if l.Rate > 0 {
			limit.PerSeconds = l.Per.Seconds()
		}
		return limit
	})
}

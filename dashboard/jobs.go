package dashboard

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const (
	rowsOfPage   = 50
	startOfData  = 600 // characters of a payload that a list reads
	searchFor    = 1500 * time.Millisecond
	longestQuery = 4000

	searchesAtOnce = 2 // without an index, for all visitors together
	searchWait     = time.Second
)

// jobRow is a job in a list.
type jobRow struct {
	operator.Job
	Name  string
	Data  string
	State operator.State
}

type jobsData struct {
	Q      string
	Wrong  string // an error in Q
	Jobs   []jobRow
	Next   string // the page that follows
	Looked string // the search has come as far as this id, and has not looked at all jobs
	First  bool
	Newest bool // they come first
	Either bool // they may: an index leads to them
}

func (v *visit) jobsPage() error {
	s, err := v.look()
	if err != nil {
		return err
	}
	d := jobsData{Q: v.query.Get("q"), First: v.query.Get("after") == "" && v.query.Get("before") == ""}
	p := &page{Title: v.say("jobs"), Here: "jobs"}
	filter, err := v.jobQuery(d.Q, s.Now)
	if err != nil {
		d.Wrong, p.D = err.Error(), &d
		return v.render(http.StatusOK, "jobs", p)
	}
	p.Live = !isCostly(filter)
	d.Either = p.Live
	filter.Newest = d.Either && v.query.Get("sort") == "new"
	d.Newest = filter.Newest
	if after := v.query.Get("after"); after != "" {
		if filter.After, err = number(after, 0, 1<<62); err != nil {
			return err
		}
	}
	if before := v.query.Get("before"); before != "" && d.Newest {
		if filter.Until, err = number(before, 2, 1<<63-1); err != nil { // there is none before 1
			return err
		}
		filter.Until--
	}
	filter.PayloadMax = startOfData
	jobs, looked, err := v.search(v.ctx(), filter, rowsOfPage+1)
	if err != nil {
		return err
	}
	if len(jobs) > rowsOfPage {
		jobs, looked = jobs[:rowsOfPage], 0
		d.Next = strconv.FormatInt(jobs[rowsOfPage-1].ID, 10)
	}
	if looked > 0 {
		d.Looked = strconv.FormatInt(looked, 10)
	}
	for _, j := range jobs {
		name, data := v.nameAndData(v.language, j.Payload)
		d.Jobs = append(d.Jobs, jobRow{j, name, brief(200, data), stateOf(j, s.Now)})
	}
	p.D = &d
	return v.render(http.StatusOK, "jobs", p)
}

func (v *visit) jobQuery(text string, now time.Time) (operator.JobFilter, error) {
	if len(text) > longestQuery {
		return operator.JobFilter{}, v.wrong(http.StatusBadRequest, "query.long")
	}
	return v.jobFilter(text, now)
}

// search returns up to limit jobs. Without an index it reads one window after the other and stops after a while: looked is then the last id
// that it has read, else 0.
func (v *visit) search(ctx context.Context, f operator.JobFilter, limit int) (jobs []operator.Job, looked int64, err error) {
	f.Limit = limit
	if !isCostly(f) {
		jobs, err = v.operator.Jobs(ctx, f)
		return jobs, 0, err
	}
	leave, err := v.searchPlace()
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	var w windows
	for begin := time.Now(); ; {
		size := w.next(time.Now())
		if f.Until, err = v.operator.Window(ctx, f.After, size); err != nil || f.Until == 0 {
			return jobs, 0, err
		}
		f.Limit = limit - len(jobs)
		found, err := v.operator.Jobs(ctx, f)
		if err != nil {
			return jobs, 0, err
		}
		if jobs = append(jobs, found...); len(jobs) >= limit {
			return jobs, 0, nil
		}
		if f.Until-f.After < int64(size) { // what is pushed meanwhile is not waited for
			return jobs, 0, nil
		}
		f.After = f.Until
		if time.Since(begin) > searchFor {
			return jobs, f.After, nil
		}
	}
}

// How many jobs one statement searches where no index helps.
const (
	leastWindow = 1_000
	stepWindow  = 25_000 // of a bulk action, whose steps are requests of their own
	mostWindow  = 100_000
)

// windows are the parts of a search. Their size follows how fast the database is, so that no statement runs into its time limit.
type windows struct {
	size  int
	began time.Time
}

// next is the size of the next window.
func (w *windows) next(now time.Time) int {
	switch {
	case w.size == 0:
		w.size = leastWindow
	case now.Sub(w.began) < searchFor/10:
		w.size = min(4*w.size, mostWindow)
	default:
		w.size = max(w.size/2, leastWindow)
	}
	w.began = now
	return w.size
}

// searchPlace waits a while for one of the places of costly searches. Many at once would slow down the workers.
//
//nolint:contextcheck // it has that of the visit
func (v *visit) searchPlace() (leave func(), err error) {
	select {
	case v.searches <- struct{}{}:
		return func() { <-v.searches }, nil
	case <-time.After(searchWait):
		v.w.Header().Set("Retry-After", "2")
		return nil, v.wrong(http.StatusTooManyRequests, "search.busy", searchesAtOnce)
	case <-v.ctx().Done():
		return nil, context.Cause(v.ctx())
	}
}

// failedGroups groups the failed jobs that match a filter. It reads each of them.
func (v *visit) failedGroups(ctx context.Context, f operator.FailedFilter) ([]operator.FailedGroup, error) {
	leave, err := v.searchPlace()
	if err != nil {
		return nil, err
	}
	defer leave()
	return v.operator.FailedGroups(ctx, f, mostGrouped)
}

func stateOf(j sqlqueue.Job, now time.Time) operator.State {
	switch {
	case j.Reserved:
		return operator.Reserved
	case j.AvailableAt.After(now):
		return operator.Delayed
	}
	return operator.Ready
}

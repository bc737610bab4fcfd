package dashboard

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// errorsOfJob is how many failed runs of a job its page shows.
const errorsOfJob = 30

// errorSpans are the periods that the page of errors offers.
var errorSpans = []struct {
	name string
	time.Duration
}{{"1h", time.Hour}, {"24h", 24 * time.Hour}, {"7d", operator.ErrorsKept}}

// errorRow is like errors, as the page shows them.
type errorRow struct {
	operator.ErrorGroup
	Text  string // of the error, with secrets hidden
	Spark spark
	Q     string // finds the jobs that failed for good; empty: no such jobs, or a part of the error is hidden
}

type errorsData struct {
	Rows   []errorRow
	Whole  bool // all were looked at
	Range  string
	Ranges []string
}

// errorSpan returns the index of the span in ?range=.
func (v *visit) errorSpan() (i int) {
	for i := range errorSpans {
		if errorSpans[i].name == v.query.Get("range") {
			return i
		}
	}
	return 0
}

func (v *visit) errorsPage() error {
	i := v.errorSpan()
	groups, err := v.errs[i].get(v.ctx())
	if err != nil {
		return err
	}
	d := errorsData{Range: errorSpans[i].name}
	for _, span := range errorSpans {
		d.Ranges = append(d.Ranges, span.name)
	}
	total := int64(0)
	for _, g := range groups {
		add(&total, g.Runs)
	}
	d.Whole = total < mostGrouped
	for _, g := range groups[:min(len(groups), rowsOfPage)] {
		row := errorRow{ErrorGroup: g, Text: hideCredentials(g.Error)}
		row.Spark = sparkOf(v.language, series{Done: make([]int64, len(g.Trend)), Failed: g.Trend})
		row.Spark.Label = v.say("errors.trend", g.Runs, errorSpans[i].name)
		if g.Ended > 0 && row.Text == g.Error {
			row.Q = joined("queue", g.Queue, "name", g.Name, "error", g.Error)
		}
		d.Rows = append(d.Rows, row)
	}
	return v.render(http.StatusOK, "errors", &page{Title: v.say("errors"), Here: "errors", Live: true, D: d})
}

// loadErrors reads the groups of a span.
func (d *Dashboard) loadErrors(span time.Duration) func(context.Context) ([]operator.ErrorGroup, error) {
	return func(ctx context.Context) ([]operator.ErrorGroup, error) {
		return d.operator.ErrorGroups(ctx, span, mostGrouped)
	}
}

// runError is a failed run, with secrets hidden.
func runError(e operator.RunError) operator.RunError {
	e.Error, e.Stack = clip(hideCredentials(e.Error)), clip(hideCredentials(e.Stack))
	return e
}

// runsOf returns the newest failed runs of a job, and whether there are more.
func (v *visit) runsOf(job int64) (runs []operator.RunError, more bool, err error) {
	found, err := v.operator.Errors(v.ctx(), operator.ErrorFilter{JobID: job, Limit: errorsOfJob + 1})
	if more = len(found) > errorsOfJob; more {
		found = found[:errorsOfJob]
	}
	for _, e := range found {
		runs = append(runs, runError(e))
	}
	return runs, more, err
}

type errorData struct {
	operator.RunError
	Lasts string // how long the run took
	There string // where its job is: the path of a page; empty: it has ended
	Runs  runs
}

// runs are failed runs.
type runs struct {
	All  []operator.RunError
	More bool
	But  int64 // the job of the page
}

func (v *visit) errorPage() error {
	e, err := v.operator.RunError(v.ctx(), v.id)
	if err != nil {
		return err
	}
	d := errorData{RunError: runError(e), Lasts: v.lasted(e.Took), Runs: runs{But: e.ID}}
	if d.Runs.All, d.Runs.More, err = v.runsOf(e.JobID); err != nil {
		return err
	}
	jobs, err := v.operator.Jobs(v.ctx(), operator.JobFilter{IDs: []int64{e.JobID}, PayloadMax: 1})
	if err != nil {
		return err
	}
	if len(jobs) > 0 {
		d.There = jobPath(e.JobID)
	}
	return v.render(http.StatusOK, "error1", &page{Title: v.say("error.title", v.id), Here: "errors", D: d})
}

// lasted writes how long a run took.
func (l *language) lasted(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return l.roughly(d)
}

// apiErrors has ?job=, ?before= and ?limit=.
func (v *visit) apiErrors() error {
	var filter operator.ErrorFilter
	var err error
	if filter.Limit, err = v.limit(); err != nil {
		return err
	}
	for name, to := range map[string]*int64{"job": &filter.JobID, "before": &filter.Before} {
		if text := v.query.Get(name); text != "" {
			if *to, err = strconv.ParseInt(text, 10, 64); err != nil || *to < 1 {
				return v.wrong(http.StatusBadRequest, "query.id", text)
			}
		}
	}
	found, err := v.operator.Errors(v.ctx(), filter)
	if err != nil {
		return err
	}
	return writeList(v, found, runError)
}

// apiErrorGroups has ?range=.
func (v *visit) apiErrorGroups() error {
	groups, err := v.errs[v.errorSpan()].get(v.ctx())
	if err != nil {
		return err
	}
	return writeList(v, groups, func(g operator.ErrorGroup) operator.ErrorGroup {
		g.Error = hideCredentials(g.Error)
		return g
	})
}

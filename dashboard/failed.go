package dashboard

import (
	"net/http"
	"strconv"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// mostGrouped is how many of the newest failed jobs are grouped.
const mostGrouped = 10_000

type failedRow struct {
	operator.FailedJob
	Name string
}

type groupRow struct {
	operator.FailedGroup
	Text string // of the error, with secrets hidden
	Q    string // the query that finds the jobs; empty if a part of the error is hidden
}

type failedData struct {
	Q      string
	Wrong  string
	Groups []groupRow
	Whole  bool // the groups are of all failed jobs
	Jobs   []failedRow
	Next   string
	First  bool
}

func (v *visit) failedPage() error {
	d := failedData{Q: v.query.Get("q"), First: v.query.Get("before") == ""}
	p := &page{Title: v.say("failed"), Here: "failed", D: &d}
	filter, err := v.failedQuery(d.Q)
	if err != nil {
		d.Wrong = err.Error()
		return v.render(http.StatusOK, "failed", p)
	}
	if d.First {
		var groups []operator.FailedGroup
		if p.Live = d.Q == ""; p.Live {
			groups, err = v.groups.get(v.ctx())
		} else {
			groups, err = v.failedGroups(v.ctx(), filter)
		}
		if err != nil {
			return err
		}
		var total int64
		for _, g := range groups {
			add(&total, g.Count)
			d.Groups = append(d.Groups, groupOf(g))
		}
		d.Whole = total < mostGrouped
		d.Groups = d.Groups[:min(len(d.Groups), rowsOfPage)]
	} else if filter.Before, err = number(v.query.Get("before"), 1, 1<<63-1); err != nil {
		return err
	}
	filter.Limit, filter.TextMax = rowsOfPage+1, startOfData
	jobs, err := v.operator.FailedJobs(v.ctx(), filter)
	if err != nil {
		return err
	}
	if len(jobs) > rowsOfPage {
		jobs = jobs[:rowsOfPage]
		d.Next = strconv.FormatInt(jobs[rowsOfPage-1].ID, 10)
	}
	d.Jobs = v.failedRows(jobs)
	return v.render(http.StatusOK, "failed", p)
}

// failedRows are the rows of a list of failed jobs, with secrets hidden.
func (v *visit) failedRows(jobs []operator.FailedJob) (rows []failedRow) {
	for _, j := range jobs {
		name, _ := v.nameAndData(v.language, j.Payload)
		j.Error = hideCredentials(j.Error)
		rows = append(rows, failedRow{j, name})
	}
	return rows
}

func (v *visit) failedQuery(text string) (operator.FailedFilter, error) {
	if len(text) > longestQuery {
		return operator.FailedFilter{}, v.wrong(http.StatusBadRequest, "query.long")
	}
	return failedFilter(text)
}

func groupOf(g operator.FailedGroup) groupRow {
	row := groupRow{FailedGroup: g, Text: hideCredentials(g.Error)}
	if row.Text == g.Error {
		row.Q = joined("queue", g.Queue, "name", g.Name, "error", g.Error)
	}
	return row
}

type failedJobData struct {
	operator.FailedJob
	Name    string
	Tree    node
	Raw     string
	Cut     int
	Odd     string
	Setting []setting
	Chain   chain
	Runs    runs
}

func (v *visit) failedJobPage() error {
	job, err := v.operator.FailedJob(v.ctx(), v.id)
	if err != nil {
		return err
	}
	job.Error, job.Stack = clip(hideCredentials(job.Error)), clip(hideCredentials(job.Stack))
	d := &failedJobData{FailedJob: job, Chain: v.chainOf(job.Payload)}
	if d.Runs.All, d.Runs.More, err = v.runsOf(job.JobID); err != nil {
		return err
	}
	d.Name, d.Tree, d.Raw, d.Cut, d.Odd, d.Setting = v.shown(job.Payload)
	return v.render(http.StatusOK, "failedjob", &page{Title: v.say("failed.title", v.id), Here: "failed", D: d})
}

// clip keeps the beginning of a long text.
func clip(text string) string {
	if len(text) <= mostShown {
		return text
	}
	return text[:mostShown] + "…"
}

func (v *visit) retryFailed() error {
	n, err := v.operator.Retry(v.ctx(), operator.FailedFilter{IDs: []int64{v.id}})
	return v.changeFailed(n, err, "retried")
}

func (v *visit) forgetFailed() error {
	n, err := v.operator.Forget(v.ctx(), operator.FailedFilter{IDs: []int64{v.id}})
	return v.changeFailed(n, err, "forgotten")
}

func (v *visit) changeFailed(n int, err error, word string) error {
	if err != nil {
		return v.refusal(err)
	}
	return v.done("failed", nil, word, n)
}

package dashboard

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// finishedRow is a job that is done and kept, as the list shows it.
type finishedRow struct {
	operator.FinishedJob
	Result string
}

type finishedData struct {
	Rows        []finishedRow
	Queue, Name string
	Next        int64
	First       bool
}

// finishedPage has ?queue=, ?name= and ?before=.
func (v *visit) finishedPage() error {
	jobs, filter, err := v.finishedJobs(rowsOfPage + 1)
	if err != nil {
		return err
	}
	d := finishedData{Queue: filter.Queue, Name: filter.Name, First: filter.Before == 0}
	if len(jobs) > rowsOfPage {
		jobs = jobs[:rowsOfPage]
		d.Next = jobs[rowsOfPage-1].Number
	}
	for _, j := range jobs {
		row := finishedRow{FinishedJob: j}
		if j.Result != nil {
			row.Result = brief(100, string(v.result(j)))
		}
		d.Rows = append(d.Rows, row)
	}
	return v.render(http.StatusOK, "done", &page{Title: v.say("done.title"), Here: "done", Live: d.First, D: d})
}

// finishedJobs are those that the query asks for, the latest first.
func (v *visit) finishedJobs(limit int) ([]operator.FinishedJob, operator.FinishedFilter, error) {
	filter := operator.FinishedFilter{Queue: v.query.Get("queue"), Name: v.query.Get("name"), Limit: limit, TextMax: mostShown}
	if before := v.query.Get("before"); before != "" {
		var err error
		if filter.Before, err = number(before, 1, 1<<63-1); err != nil {
			return nil, filter, err
		}
	}
	jobs, err := v.operator.FinishedJobs(v.ctx(), filter)
	return jobs, filter, err
}

// result is a job's result with its secrets hidden.
func (v *visit) result(j operator.FinishedJob) []byte {
	if sqlqueue.IsEncrypted(j.Result) {
		return []byte(strconv.Quote(v.say("data.encrypted")))
	}
	return v.redactData(j.Name, j.Result)
}

type finishedJobData struct {
	operator.FinishedJob
	Tree      node
	Raw       string
	Cut       int
	Odd       string
	Setting   []setting
	HasResult bool
	Of        struct { // the result, as the data is shown
		Odd  string
		Tree node
		Raw  string
		Cut  int
	}
	Chain chain
	Runs  runs
}

// showFinished shows a job that is done and kept.
func (v *visit) showFinished(j operator.FinishedJob) error {
	d := &finishedJobData{FinishedJob: j, Chain: v.chainOf(j.Payload)}
	_, d.Tree, d.Raw, d.Cut, d.Odd, d.Setting = v.shown(j.Payload)
	if d.HasResult = j.Result != nil; d.HasResult {
		result := v.result(j)
		d.Of.Tree, d.Of.Raw = treeOf(result), indented(result)
	}
	var err error
	if d.Runs.All, d.Runs.More, err = v.runsOf(v.id); err != nil {
		return err
	}
	return v.render(http.StatusOK, "donejob", &page{Title: v.say("job.title", v.id), Here: "done", D: d})
}

// keepForm is how long finished jobs are kept, as it was typed.
type keepForm struct {
	Said  string // now, about the queue itself; empty: nothing
	Holds string // now, for the queue
	Wrong string
}

func (v *visit) keepOf(name string) (f keepForm, err error) {
	if name == "" {
		return f, nil
	}
	keeps, err := v.operator.Keeps(v.ctx())
	for _, k := range keeps {
		if k.Queue == name {
			if f.Said = exactly(k.For); k.For == 0 {
				f.Said = "0"
			}
		}
	}
	if d := operator.KeepOf(keeps, name); d > 0 {
		f.Holds = v.units(exactly(d))
	}
	return f, err
}

// setKeep sets how long finished jobs of the queue that ?name= gives are kept. An empty time removes that.
func (v *visit) setKeep() error {
	name, text := v.query.Get("name"), v.form("for")
	var err error
	if text == "" {
		err = v.operator.ResetKeep(v.ctx(), name)
	} else {
		k := operator.Keep{Queue: name}
		if k.For, err = parseDuration(text); err != nil {
			return err
		}
		err = v.operator.SetKeep(v.ctx(), k)
	}
	if err != nil {
		return v.refusal(err)
	}
	return v.done("queue", url.Values{"name": {name}}, "kept", -1)
}

// apiFinished has ?queue=, ?name=, ?before= and ?limit=.
func (v *visit) apiFinished() error {
	limit, err := v.limit()
	if err != nil {
		return err
	}
	jobs, _, err := v.finishedJobs(limit)
	if err != nil {
		return err
	}
	return writeList(v, jobs, v.encodableFinished)
}

func (v *visit) apiFinishedJob() error {
	job, err := v.operator.FinishedJob(v.ctx(), v.id)
	if err != nil {
		return err
	}
	v.writeJSON(http.StatusOK, v.encodableFinished(job))
	return nil
}

func (v *visit) encodableFinished(j operator.FinishedJob) operator.FinishedJob {
	j.Payload = v.encodable(j.Payload)
	if j.Result != nil {
		j.Result = operator.Encodable(v.result(j))
	}
	return j
}

// apiKeep has the shape of sqlqueue keep list --json.
type apiKeep struct {
	Queue       string  `json:"queue"`
	KeepSeconds float64 `json:"keep_seconds"`
}

func (v *visit) apiKeeps() error {
	keeps, err := v.operator.Keeps(v.ctx())
	if err != nil {
		return err
	}
	return writeList(v, keeps, func(k operator.Keep) apiKeep { return apiKeep{k.Queue, k.For.Seconds()} })
}

// bar is how far a running job is.
type bar struct {
	Text                 string
	Done, Total, Percent int // as of a batch
}

func barOf(p driver.Progress) *bar {
	const total = 1000
	return &bar{p.Text, int(p.Fraction * total), total, int(p.Fraction * 100)}
}

// apiJobData is a job, and how far it is.
type apiJobData struct {
	operator.Job
	Progress *driver.Progress `json:"progress,omitempty"`
}

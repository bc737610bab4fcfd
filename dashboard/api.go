package dashboard

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// description is the OpenAPI document of the routes below; a test generates it.
//
//go:embed openapi.json
var description []byte

func (v *visit) apiDescription() error {
	v.write(http.StatusOK, "application/json; charset=utf-8", description)
	return nil
}

// The following types have the shapes that the command line prints with --json.

type apiQueue struct {
	operator.QueueInfo
	Pushed float64 `json:"pushed_per_minute"`
	Done   float64 `json:"done_per_minute"`
	Failed float64 `json:"failed_per_minute"`
}

func (v *visit) apiQueues() error {
	s, err := v.look()
	if err != nil {
		return err
	}
	queues := []apiQueue{}
	for _, info := range s.Queues {
		if info.Queue == "" && v.told(info.Control, s.Now) == "" && info.Control.Expire == nil {
			continue
		}
		r := ratesOf(s.Counts, info.Queue, rateOver)
		queues = append(queues, apiQueue{info, r.Pushed, r.Done, r.Failed})
	}
	v.writeJSON(http.StatusOK, queues)
	return nil
}

type apiRates struct {
	Minutes  int     `json:"minutes"`
	Pushed   float64 `json:"pushed"`
	Done     float64 `json:"done"`
	Failed   float64 `json:"failed"`
	Released float64 `json:"released"`
	AtLeast  bool    `json:"pushed_at_least,omitzero"`
}

func ratesOf(counts operator.Counts, queue string, over time.Duration) apiRates {
	s := seriesOf(counts, &queue, over, over)
	each := func(numbers []int64) float64 {
		const digits = 100
		return float64(int64(float64(sum(numbers))/over.Minutes()*digits+0.5)) / digits
	}
	return apiRates{int(over.Minutes()), each(s.Pushed), each(s.Done), each(s.Failed), each(s.Again), counts.PushedSince.After(s.Begin)}
}

type apiCount struct {
	Minute   time.Time `json:"minute"`
	Pushed   int64     `json:"pushed"`
	Done     int64     `json:"done"`
	Failed   int64     `json:"failed"`
	Released int64     `json:"released"`
}

type apiStats struct {
	operator.QueueInfo
	Rates   []apiRates `json:"rates"`
	Minutes []apiCount `json:"minutes"`
}

// apiCounts has ?since=, 1h unless it says otherwise, and ?queue=.
func (v *visit) apiCounts() error {
	since := time.Hour
	if text := v.query.Get("since"); text != "" {
		var err error
		if since, err = parseDuration(text); err != nil {
			return err
		}
		if since < time.Minute || since > operator.CountsKept {
			return v.wrong(http.StatusBadRequest, "query.since", roughly(operator.CountsKept))
		}
		since = since.Truncate(time.Minute)
	}
	s, err := v.look()
	if err != nil {
		return err
	}
	counts := s.Counts
	if since > time.Hour {
		if counts, err = v.history.get(v.ctx()); err != nil {
			return err
		}
	}
	at := map[string]*apiStats{}
	row := func(info operator.QueueInfo) *apiStats {
		if at[info.Queue] == nil {
			at[info.Queue] = &apiStats{QueueInfo: info, Rates: []apiRates{}, Minutes: []apiCount{}}
			for _, over := range []time.Duration{time.Minute, rateOver, since} {
				at[info.Queue].Rates = append(at[info.Queue].Rates, ratesOf(counts, info.Queue, over))
			}
		}
		return at[info.Queue]
	}
	for _, info := range s.Queues {
		row(info)
	}
	first := counts.Now.Add(-since).Truncate(time.Minute)
	for _, c := range counts.Minutes {
		if !c.Minute.Before(first) {
			r := row(operator.QueueInfo{Queue: c.Queue, CountedTo: countedTo, Control: operator.Control{Queue: c.Queue}})
			r.Minutes = append(r.Minutes, apiCount{c.Minute, c.Pushed, c.Done, c.Failed, c.Released})
		}
	}
	all := []apiStats{}
	for _, r := range at {
		if queue := v.query.Get("queue"); queue == "" && r.Queue != "" || queue != "" && queue == r.Queue {
			all = append(all, *r)
		}
	}
	slices.SortFunc(all, func(a, b apiStats) int { return strings.Compare(a.Queue, b.Queue) })
	v.writeJSON(http.StatusOK, all)
	return nil
}

// limit reads ?limit=.
func (v *visit) limit() (int, error) {
	const most = 100
	if v.query.Get("limit") == "" {
		return rowsOfPage, nil
	}
	n, err := number(v.query.Get("limit"), 1, most)
	return int(n), err
}

// apiJobs has ?q=, ?after= and ?limit=. A long search without an index ends
// early: the header X-Looked-To then has the id after which to continue.
func (v *visit) apiJobs() error {
	limit, err := v.limit()
	if err != nil {
		return err
	}
	s, err := v.look()
	if err != nil {
		return err
	}
	filter, err := v.jobQuery(v.query.Get("q"), s.Now)
	if err != nil {
		return err
	}
	if after := v.query.Get("after"); after != "" {
		if filter.After, err = number(after, 0, 1<<62); err != nil {
			return err
		}
	}
	jobs, looked, err := v.search(v.ctx(), filter, limit)
	if err != nil {
		return err
	}
	if looked > 0 {
		v.w.Header().Set("X-Looked-To", strconv.FormatInt(looked, 10))
	}
	return writeList(v, jobs, func(j operator.Job) operator.Job {
		j.Payload = v.encodable(j.Payload)
		return j
	})
}

func (v *visit) apiJob() error {
	job, err := v.operator.Job(v.ctx(), v.id)
	if err != nil {
		return err
	}
	progress, err := v.operator.Progress(v.ctx(), v.id)
	if err != nil {
		return err
	}
	job.Payload = v.encodable(job.Payload)
	data := apiJobData{Job: job}
	if p, ok := progress[v.id]; ok {
		data.Progress = &p
	}
	v.writeJSON(http.StatusOK, data)
	return nil
}

// writeList writes the rows of a list, each as it is shown.
func writeList[T, R any](v *visit, rows []T, shown func(T) R) error {
	all := make([]R, len(rows))
	for i, row := range rows {
		all[i] = shown(row)
	}
	v.writeJSON(http.StatusOK, all)
	return nil
}

// encodable is a payload with its secrets hidden, as valid JSON: itself, or a string with its text.
func (v *visit) encodable(payload []byte) json.RawMessage {
	parsed, _ := sqlqueue.ParsePayload(payload)
	shown := v.redact(parsed.Job, payload)
	if json.Valid(shown) {
		return shown
	}
	text, _ := json.Marshal(string(shown))
	return text
}

// apiFailed has ?q=, ?before= and ?limit=.
func (v *visit) apiFailed() error {
	limit, err := v.limit()
	if err != nil {
		return err
	}
	filter, err := v.failedQuery(v.query.Get("q"))
	if err != nil {
		return err
	}
	if before := v.query.Get("before"); before != "" {
		if filter.Before, err = number(before, 1, 1<<63-1); err != nil {
			return err
		}
	}
	filter.Limit = limit
	jobs, err := v.operator.FailedJobs(v.ctx(), filter)
	if err != nil {
		return err
	}
	return writeList(v, jobs, v.shownFailed)
}

func (v *visit) shownFailed(j operator.FailedJob) operator.FailedJob {
	j.Payload, j.Error, j.Stack = v.encodable(j.Payload), hideCredentials(j.Error), hideCredentials(j.Stack)
	return j
}

func (v *visit) apiFailedJob() error {
	job, err := v.operator.FailedJob(v.ctx(), v.id)
	if err != nil {
		return err
	}
	v.writeJSON(http.StatusOK, v.shownFailed(job))
	return nil
}

func (v *visit) apiGroups() error {
	filter, err := v.failedQuery(v.query.Get("q"))
	if err != nil {
		return err
	}
	groups, err := v.failedGroups(v.ctx(), filter)
	if err != nil {
		return err
	}
	return writeList(v, groups, func(g operator.FailedGroup) operator.FailedGroup {
		g.Error = hideCredentials(g.Error)
		return g
	})
}

type apiWorker struct {
	operator.Worker
	Dead bool `json:"dead"`
}

func (v *visit) apiWorkers() error {
	s, err := v.look()
	if err != nil {
		return err
	}
	return writeList(v, s.Workers, func(w operator.Worker) apiWorker { return apiWorker{w, isDead(w, s.Now)} })
}

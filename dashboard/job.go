package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

type jobData struct {
	operator.Job
	Name    string
	State   operator.State
	Tree    node
	Raw     string // the data, with secrets hidden
	Cut     int    // how many bytes of Raw are not shown
	Odd     string // an error in the payload
	Worker  string // the id of the worker that has reserved it
	Setting []setting
	Chain   chain
	Runs    runs
	Edit    jobForm

	Progress *bar // how far it is; nil: its handler has not said
	Open     bool // the form
}

// setting is a setting of a job, such as its tries.
type setting struct{ Name, Value, Link string }

// jobForm has the fields of a job that can be changed, as typed.
type jobForm struct {
	Queue, Name, Priority, At, Data string
	Version                         string // of the job that was shown
	Wrong                           string
}

const mostShown = 100_000 // bytes of data

func (v *visit) jobPage() error { return v.showJob(http.StatusOK, nil) }

// showJob shows a job; a form keeps its typed values.
func (v *visit) showJob(status int, typed *jobForm) error {
	job, err := v.operator.Job(v.ctx(), v.id)
	if errors.Is(err, operator.ErrNotFound) {
		if finished, err := v.operator.FinishedJob(v.ctx(), v.id); err == nil && typed == nil {
			return v.showFinished(finished)
		} else if err != nil && !errors.Is(err, operator.ErrNotFound) {
			return err
		}
		if typed == nil {
			return v.wrong(http.StatusNotFound, "job.gone", v.id)
		}
		typed.Wrong = v.say("job.gone", v.id)
		p := &page{Title: v.say("job.title", v.id), Here: "jobs", D: &jobData{Job: operator.Job{ID: v.id}, Edit: *typed, Open: true}}
		return v.render(http.StatusNotFound, "lost", p)
	}
	if err != nil {
		return err
	}
	s, err := v.look()
	if err != nil {
		return err
	}
	d := &jobData{Job: job, State: stateOf(job, s.Now), Edit: v.formOf(job), Chain: v.chainOf(job.Payload)}
	d.Name, d.Tree, d.Raw, d.Cut, d.Odd, d.Setting = v.shown(job.Payload)
	if d.Reserved {
		d.Worker, _, _ = strings.Cut(job.ReservedBy, "-")
		progress, err := v.operator.Progress(v.ctx(), v.id)
		if err != nil {
			return err
		}
		if p, ok := progress[v.id]; ok {
			d.Progress = barOf(p)
		}
	}
	if d.Runs.All, d.Runs.More, err = v.runsOf(v.id); err != nil {
		return err
	}
	if typed != nil {
		version := d.Edit.Version
		d.Edit, d.Open = *typed, true
		d.Edit.Version = version // who saves again has been told
	}
	return v.render(status, "job", &page{Title: v.say("job.title", v.id), Here: "jobs", Live: true, D: d})
}

// shown reads a payload for a page.
func (v *visit) shown(payload []byte) (name string, tree node, raw string, cut int, odd string, settings []setting) {
	parsed, err := sqlqueue.ParsePayload(payload)
	name = parsed.Job
	data := v.redact(name, payload)
	if err != nil {
		odd = hideCredentials(err.Error())
	} else {
		data = v.redactData(name, parsed.Data)
	}
	if err == nil && sqlqueue.IsEncrypted(parsed.Data) {
		data, _ = json.Marshal(v.say("data.encrypted"))
	}
	if json.Valid(data) {
		tree = treeOf(data)
	}
	if raw = indented(data); len(raw) > mostShown {
		cut = len(raw) - mostShown
		raw = strings.ToValidUTF8(raw[:mostShown], "")
	}
	for _, e := range elements(payload) {
		switch e.name {
		case "job", "data", "then", "catch", "parent": // shown by themselves
		default:
			value := v.redacted(e.value, nil)
			if isSecret(e.name) {
				value = []byte(mask)
			}
			settings = append(settings, setting{Name: e.name, Value: brief(200, string(value))})
			if e.name == "trace" && parsed.Trace != "" {
				settings[len(settings)-1].Link = v.traceLink(parsed.Trace)
			}
		}
	}
	return name, tree, raw, cut, odd, settings
}

// traceLink is the page of a trace, or empty.
func (v *visit) traceLink(trace sqlqueue.Trace) string {
	return strings.ReplaceAll(v.config.TraceURL, traceID, string(trace[3:35]))
}

func (v *visit) formOf(job operator.Job) jobForm {
	parsed, _ := sqlqueue.ParsePayload(job.Payload)
	return jobForm{
		Queue: job.Queue, Name: parsed.Job, Priority: strconv.Itoa(int(job.Priority)), At: job.AvailableAt.UTC().Format(timeLayout),
		Data: indented(v.redactData(parsed.Job, parsed.Data)), Version: versionOf(job),
	}
}

const timeLayout = "2006-01-02 15:04:05"

// versionOf identifies the state of a job, part by part.
func versionOf(job operator.Job) string {
	parts := []string{job.Queue, fmt.Sprint(job.Priority), fmt.Sprint(job.AvailableAt.UnixMicro()), string(job.Payload)}
	for i, part := range parts {
		sum := fnv.New64a()
		_, _ = sum.Write([]byte(part))
		parts[i] = strconv.FormatUint(sum.Sum64(), 36)
	}
	return strings.Join(parts, ".")
}

// changed names the parts in which two versions differ.
func (l *language) changed(before, now string) string {
	names := strings.Split(l.say("edit.parts"), ",")
	was, is := strings.Split(before, "."), strings.Split(now, ".")
	var differ []string
	for i, name := range names {
		if i >= len(was) || i >= len(is) || was[i] != is[i] {
			differ = append(differ, name)
		}
	}
	return strings.Join(differ, ", ")
}

func (v *visit) editJob() error {
	typed := &jobForm{
		Queue: v.form("queue"), Name: v.form("name"), Priority: v.form("priority"), At: v.form("at"), Data: v.form("data"),
		Version: v.form("version"),
	}
	keep := func(text string) error {
		typed.Wrong = text
		return v.showJob(http.StatusUnprocessableEntity, typed)
	}
	job, err := v.operator.Job(v.ctx(), v.id)
	if errors.Is(err, operator.ErrNotFound) {
		return v.showJob(http.StatusNotFound, typed)
	}
	if err != nil {
		return err
	}
	if now := versionOf(job); now != typed.Version {
		return keep(v.say("edit.changed", v.changed(typed.Version, now)))
	}
	s, err := v.look()
	if err != nil {
		return err
	}
	change, err := v.editOf(job, typed, s.Now)
	if err != nil {
		return keep(v.reason(err))
	}
	if err := v.operator.Edit(v.ctx(), v.id, change); err != nil {
		if errors.Is(err, operator.ErrNotFound) {
			return v.showJob(http.StatusNotFound, typed)
		}
		if v.isAsked(err) {
			return keep(v.reason(said(err)))
		}
		return err
	}
	return v.done(jobPath(v.id), nil, "edited", -1)
}

// editOf reads the form, and changes only the fields that differ.
func (v *visit) editOf(job operator.Job, typed *jobForm, now time.Time) (change operator.JobEdit, err error) {
	was := v.formOf(job)
	if typed.Queue != was.Queue {
		if err := sqlqueue.CheckQueueName(typed.Queue); err != nil {
			return change, err
		}
		change.Queue = &typed.Queue
	}
	if typed.Priority != was.Priority {
		n, err := number(typed.Priority, -1<<15, 1<<15-1)
		if err != nil {
			return change, err
		}
		priority := int(n)
		change.Priority = &priority
	}
	if typed.At != was.At {
		at, err := parseWhen(typed.At, now)
		if err != nil {
			return change, err
		}
		change.At = &at
	}
	if typed.Name != was.Name {
		if strings.TrimSpace(typed.Name) == "" {
			return change, say("edit.name")
		}
		change.Name = &typed.Name
	}
	parsed, _ := sqlqueue.ParsePayload(job.Payload)
	data := []byte(parsed.Data)
	if typed.Data != was.Data {
		if err := checkJSON(typed.Data); err != nil {
			return change, err
		}
		if data, err = restore([]byte(typed.Data), parsed.Data, v.redactData(parsed.Job, parsed.Data)); err != nil {
			return change, err
		}
		change.Data = json.RawMessage(data)
	}
	if !v.keepsHidden(typed.Name, typed.Data, data) {
		return change, say("edit.shows")
	}
	return change, nil
}

// parseWhen reads a time: now, a duration from now, or a date with a time, in UTC unless it has a zone.
func parseWhen(text string, now time.Time) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == english["time.now"] || text == chinese["time.now"] {
		return now, nil
	}
	if d, err := parseDuration(strings.TrimPrefix(text, "in ")); err == nil {
		return now.Add(d), nil
	}
	for _, layout := range []string{timeLayout, "2006-01-02 15:04", "2006-01-02T15:04", time.RFC3339Nano, "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			if t.Year() < 1970 || t.Year() > 9998 {
				break
			}
			return t, nil
		}
	}
	return time.Time{}, say("edit.when", brief(40, text))
}

// checkJSON returns an error with the place where text is not JSON.
func checkJSON(text string) error {
	var value json.RawMessage
	err := json.Unmarshal([]byte(text), &value)
	var syntax *json.SyntaxError
	if strings.TrimSpace(text) == "" {
		return say("edit.empty")
	}
	if errors.As(err, &syntax) {
		before := text[:min(max(int(syntax.Offset)-1, 0), len(text))]
		line := 1 + strings.Count(before, "\n")
		column := 1 + len([]rune(before[strings.LastIndexByte(before, '\n')+1:]))
		return say("edit.json", err.Error(), line, column)
	}
	return err
}

// said is a queue's error for people.
func said(err error) error {
	var duplicate *sqlqueue.DuplicateError
	switch {
	case errors.Is(err, operator.ErrReserved):
		return say("job.reserved")
	case errors.Is(err, operator.ErrNotReserved):
		return say("job.notreserved")
	case errors.Is(err, operator.ErrNotFound):
		return say("refused.gone")
	case errors.As(err, &duplicate) && len(duplicate.Duplicates) > 0:
		return say("job.duplicate", visible(duplicate.Duplicates[0].Key))
	}
	return errors.New(hideCredentials(strings.TrimPrefix(err.Error(), "sqlqueue: ")))
}

// change runs a change of one job, and redirects to a page that reports it, or back to the job with the reason.
func (v *visit) change(err error, to, word string) error {
	if err == nil {
		return v.done(to, nil, word, -1)
	}
	if errors.Is(err, operator.ErrNotFound) {
		return v.wrong(http.StatusNotFound, "job.gone", v.id)
	}
	if v.isAsked(err) {
		return &problem{http.StatusConflict, said(err)}
	}
	return err
}

// jobPath is the path of a job's page.
func jobPath(id int64) string { return "jobs/" + strconv.FormatInt(id, 10) }

func (v *visit) runJob() error {
	s, err := v.look()
	if err != nil {
		return err
	}
	return v.change(v.operator.Edit(v.ctx(), v.id, operator.JobEdit{At: &s.Now}), jobPath(v.id), "run")
}

func (v *visit) cancelJob() error {
	undo := newUndo()
	if _, err := v.operator.Undoable(undo).Cancel(v.ctx(), v.id); err != nil {
		return v.change(err, "jobs", "cancelled")
	}
	return v.done("jobs", url.Values{"undo": {undo}}, "cancelled", -1)
}

func (v *visit) releaseJob() error {
	_, err := v.operator.Release(v.ctx(), v.id)
	return v.change(err, jobPath(v.id), "released")
}

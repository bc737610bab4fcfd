package dashboard

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// pushForm is a job to push, as it was typed.
type pushForm struct {
	Queue, Name, Data, When, Priority, Tries, Timeout, Unique string
	Job, Failed                                               string // the id of the job or the failed job whose hidden values are meant
	Wrong                                                     string
	Queues                                                    []string
}

// pushPage shows the form, empty or as a copy of ?job= or ?failed=.
func (v *visit) pushPage() error {
	form := &pushForm{Queue: v.queue.Config().Queue, Data: "{}", Job: v.query.Get("job"), Failed: v.query.Get("failed")}
	payload, queue, priority, err := v.original(form)
	if err != nil {
		return err
	}
	if payload != nil {
		parsed, _ := sqlqueue.ParsePayload(payload)
		form.Queue, form.Name, form.Data = queue, parsed.Job, indented(v.redactData(parsed.Job, parsed.Data))
		if priority != 0 {
			form.Priority = strconv.Itoa(priority)
		}
		if parsed.Tries != nil {
			form.Tries = strconv.Itoa(*parsed.Tries)
		}
	}
	return v.showPush(http.StatusOK, form)
}

// original is the job of which a push is a copy, or nil.
func (v *visit) original(form *pushForm) (payload []byte, queue string, priority int, err error) {
	switch {
	case form.Job != "":
		id, err := number(form.Job, 1, 1<<63-1)
		if err != nil {
			return nil, "", 0, err
		}
		job, err := v.operator.Job(v.ctx(), id)
		return job.Payload, job.Queue, int(job.Priority), err
	case form.Failed != "":
		id, err := number(form.Failed, 1, 1<<63-1)
		if err != nil {
			return nil, "", 0, err
		}
		job, err := v.operator.FailedJob(v.ctx(), id)
		return job.Payload, job.Queue, int(job.Priority), err
	}
	return nil, "", 0, nil
}

func (v *visit) showPush(status int, form *pushForm) error {
	s, err := v.look()
	if err != nil {
		return err
	}
	for _, info := range s.Queues {
		if info.Queue != "" {
			form.Queues = append(form.Queues, info.Queue)
		}
	}
	return v.render(status, "push", &page{Title: v.say("push"), Here: "push", D: form})
}

func (v *visit) pushJob() error {
	form := &pushForm{
		Queue: v.form("queue"), Name: v.form("name"), Data: v.form("data"), When: v.form("when"), Priority: v.form("priority"),
		Tries: v.form("tries"), Timeout: v.form("timeout"), Unique: v.form("unique"), Job: v.form("job"), Failed: v.form("failed"),
	}
	keep := func(text string) error {
		form.Wrong = text
		return v.showPush(http.StatusUnprocessableEntity, form)
	}
	options, err := form.options()
	if err != nil {
		return keep(v.reason(err))
	}
	if err := checkJSON(form.Data); err != nil {
		return keep(v.reason(err))
	}
	data := []byte(form.Data)
	if strings.Contains(form.Data, mask) {
		payload, _, _, err := v.original(form)
		if err != nil && !errors.Is(err, operator.ErrNotFound) {
			return err
		}
		parsed, _ := sqlqueue.ParsePayload(payload)
		if data, err = restore(data, parsed.Data, v.redactData(parsed.Job, parsed.Data)); err != nil {
			return keep(v.reason(err))
		}
		if !v.keepsHidden(form.Name, form.Data, data) {
			return keep(v.say("edit.shows"))
		}
	}
	id, err := v.operator.Queue().Push(v.ctx(), sqlqueue.Named(form.Name, json.RawMessage(data)), options...)
	switch {
	case errors.Is(err, sqlqueue.ErrOutcomeUnknown):
		return err
	case err != nil && v.isAsked(err):
		return keep(v.reason(said(err)))
	case err != nil:
		return err
	case id == 0: // the queue runs jobs at once
		return v.done("jobs", nil, "pushed", -1)
	}
	return v.done(jobPath(id), nil, "pushed", -1)
}

// options reads the form.
func (f *pushForm) options() (options []sqlqueue.PushOption, err error) {
	if strings.TrimSpace(f.Name) == "" {
		return nil, say("edit.name")
	}
	if err := sqlqueue.CheckQueueName(f.Queue); err != nil {
		return nil, err
	}
	options = append(options, sqlqueue.OnQueue(f.Queue))
	if f.When != "" {
		if d, err := parseDuration(strings.TrimPrefix(strings.TrimSpace(f.When), "in ")); err == nil {
			options = append(options, sqlqueue.Delay(d))
		} else {
			at, err := parseWhen(f.When, time.Now())
			if err != nil {
				return nil, err
			}
			options = append(options, sqlqueue.At(at))
		}
	}
	if f.Priority != "" {
		n, err := number(f.Priority, -1<<15, 1<<15-1)
		if err != nil {
			return nil, err
		}
		options = append(options, sqlqueue.Priority(int(n)))
	}
	if f.Tries != "" {
		n, err := number(f.Tries, 0, 1<<31-1)
		if err != nil {
			return nil, err
		}
		options = append(options, sqlqueue.Tries(int(n)))
	}
	if f.Timeout != "" {
		d, err := parseDuration(f.Timeout)
		if err != nil {
			return nil, err
		}
		options = append(options, sqlqueue.Timeout(d))
	}
	if f.Unique != "" {
		options = append(options, sqlqueue.Unique(f.Unique))
	}
	return options, nil
}

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

// ownOrigin is the origin of schedules that are set here.
const ownOrigin = "dashboard"

type scheduleData struct {
	scheduleRow
	Tree  node
	Raw   string
	Cut   int
	Odd   string
	Times times
	Edit  scheduleForm
	Open  bool // the form
	Fixed bool // a program sets it, so it is changed there
	New   bool
}

// scheduleForm is a schedule as it was typed.
type scheduleForm struct {
	Name, When, Zone, Queue, Job, Priority, Data, Missed, CatchUp string
	NoOverlap                                                     bool

	Version string // of the schedule that was shown; empty: it is a new one
	Wrong   string
	Times   times
}

// schedulePage shows the schedule that ?name= gives, or without a name the form of a new one.
func (v *visit) schedulePage() error { return v.showSchedule(http.StatusOK, nil) }

func (v *visit) showSchedule(status int, typed *scheduleForm) error {
	name := v.query.Get("name")
	s, err := v.look()
	if err != nil {
		return err
	}
	of, err := v.operator.Schedule(v.ctx(), name)
	if err != nil {
		return err
	}
	d := &scheduleData{scheduleRow: scheduleRow{Schedule: of, When: whenOf(of)}, Edit: v.scheduleFormOf(of)}
	d.Job, d.Tree, d.Raw, d.Cut, d.Odd, _ = v.shown(of.Payload)
	d.Fixed = isFixed(of)
	ends, err := v.lastJobs(v.ctx(), []operator.Schedule{of})
	if err != nil {
		return err
	}
	d.Last = ends[of.LastJobID]
	d.Times = timesOf(v.language, d.When, of.Zone, of.CreatedAt, s.Now)
	if typed != nil {
		version := d.Edit.Version
		d.Edit, d.Open = *typed, true
		d.Edit.Version = version // who saves again has been told
	}
	d.Edit.Times = timesOf(v.language, d.Edit.When, d.Edit.Zone, of.CreatedAt, s.Now)
	return v.render(status, "schedule", &page{Title: v.say("schedule.title", brief(80, name)), Here: "schedules", Live: true, D: d})
}

// isFixed reports whether a program sets a schedule, and so would undo a change.
func isFixed(s operator.Schedule) bool { return s.Origin != ownOrigin && s.Origin != "cli" }

// newSchedulePage shows the form of a new schedule.
func (v *visit) newSchedulePage() error {
	form := &scheduleForm{When: v.query.Get("when"), Zone: "UTC", Queue: v.queue.Config().Queue, Data: "{}", Missed: "one", CatchUp: "1d"}
	return v.showNewSchedule(http.StatusOK, form)
}

func (v *visit) showNewSchedule(status int, typed *scheduleForm) error {
	s, err := v.look()
	if err != nil {
		return err
	}
	typed.Times = timesOf(v.language, typed.When, typed.Zone, s.Now, s.Now)
	d := &scheduleData{Edit: *typed, Open: true, New: true}
	return v.render(status, "schedule", &page{Title: v.say("schedule.new"), Here: "schedules", D: d})
}

func (v *visit) scheduleFormOf(s operator.Schedule) scheduleForm {
	parsed, _ := sqlqueue.ParsePayload(s.Payload)
	return scheduleForm{
		Name: s.Name, When: whenOf(s), Zone: s.Zone, Queue: s.Queue, Job: parsed.Job, Priority: strconv.Itoa(int(s.Priority)),
		Data: indented(v.redactData(parsed.Job, parsed.Data)), Missed: s.Missed, CatchUp: exactly(s.CatchUp),
		NoOverlap: s.Overlap == "skip", Version: scheduleVersion(s),
	}
}

// exactly writes a duration in the shortest form that can be read again.
func exactly(d time.Duration) string {
	brief := strings.ReplaceAll(roughly(d), " ", "")
	if read, err := parseDuration(brief); err == nil && read == d {
		return brief
	}
	return d.String()
}

// scheduleVersion identifies the settings of a schedule, without its times.
func scheduleVersion(s operator.Schedule) string {
	sum := fnv.New64a()
	_, _ = fmt.Fprintf(sum, "%q %q %q %q %d %q %q %d %q",
		s.Cron, s.Every, s.Zone, s.Queue, s.Priority, s.Payload, s.Missed, s.CatchUp, s.Overlap)
	return strconv.FormatUint(sum.Sum64(), 36)
}

func (v *visit) typedSchedule() *scheduleForm {
	return &scheduleForm{
		Name: v.form("name"), When: v.form("when"), Zone: v.form("zone"), Queue: v.form("queue"), Job: v.form("job"),
		Priority: v.form("priority"), Data: v.form("data"), Missed: v.form("missed"), CatchUp: v.form("catchup"),
		NoOverlap: v.form("nooverlap") != "", Version: v.form("version"),
	}
}

// asksTimes reports whether the form was sent only for the next times, as it is without JavaScript.
func (v *visit) asksTimes() bool { return v.form("look") != "" }

// addSchedule sets a new schedule.
func (v *visit) addSchedule() error {
	typed := v.typedSchedule()
	keep := func(text string) error {
		typed.Wrong = text
		return v.showNewSchedule(http.StatusUnprocessableEntity, typed)
	}
	if v.asksTimes() {
		return v.showNewSchedule(http.StatusOK, typed)
	}
	if typed.Name != "" {
		_, err := v.operator.Schedule(v.ctx(), typed.Name)
		if err == nil {
			return keep(v.say("schedule.exists"))
		}
		if !errors.Is(err, operator.ErrNoSchedule) {
			return err
		}
	}
	return v.setSchedule(typed, operator.Schedule{Origin: ownOrigin}, keep)
}

// saveSchedule changes a schedule.
func (v *visit) saveSchedule() error {
	typed := v.typedSchedule()
	keep := func(text string) error {
		typed.Wrong = text
		return v.showSchedule(http.StatusUnprocessableEntity, typed)
	}
	if typed.Name = v.query.Get("name"); v.asksTimes() {
		return v.showSchedule(http.StatusOK, typed)
	}
	was, err := v.operator.Schedule(v.ctx(), typed.Name)
	if err != nil {
		return err
	}
	if isFixed(was) {
		return &problem{http.StatusConflict, say("schedule.fixed", visible(was.Origin))}
	}
	if scheduleVersion(was) != typed.Version {
		return keep(v.say("schedule.changed"))
	}
	return v.setSchedule(typed, was, keep)
}

func (v *visit) setSchedule(typed *scheduleForm, was operator.Schedule, keep func(text string) error) error {
	s, err := v.scheduleOf(typed, was)
	if err != nil {
		return keep(v.reason(err))
	}
	err = v.operator.Queue().Schedule(v.ctx(), s)
	var wrong *sqlqueue.ScheduleError
	switch {
	case errors.As(err, &wrong):
		return keep(wrong.Err.Error())
	case err != nil && v.isAsked(err):
		return keep(v.reason(said(err)))
	case err != nil:
		return err
	}
	return v.done("schedules/show", url.Values{"name": {s.Name}}, "edited", -1)
}

// scheduleOf reads the form. Hidden values keep their old values.
func (v *visit) scheduleOf(typed *scheduleForm, was operator.Schedule) (s sqlqueue.Schedule, err error) {
	s = sqlqueue.Schedule{
		Name: typed.Name, Zone: strings.TrimSpace(typed.Zone), Missed: sqlqueue.Missed(typed.Missed), NoOverlap: typed.NoOverlap,
		Origin: was.Origin,
	}
	s.Cron, s.Every = ruleOf(typed.When)
	if strings.TrimSpace(typed.Job) == "" {
		return s, say("edit.name")
	}
	priority := int64(0)
	if typed.Priority != "" {
		if priority, err = number(typed.Priority, -1<<15, 1<<15-1); err != nil {
			return s, err
		}
	}
	if typed.CatchUp != "" {
		if s.CatchUp, err = parseDuration(typed.CatchUp); err != nil {
			return s, err
		}
	}
	if err := checkJSON(typed.Data); err != nil {
		return s, err
	}
	parsed, _ := sqlqueue.ParsePayload(was.Payload)
	data := []byte(parsed.Data)
	if hidden := v.redactData(parsed.Job, parsed.Data); was.Payload == nil || typed.Data != indented(hidden) {
		if data, err = restore([]byte(typed.Data), parsed.Data, hidden); err != nil {
			return s, err
		}
	}
	if !v.keepsHidden(typed.Job, typed.Data, data) {
		return s, say("edit.shows")
	}
	s.Job = sqlqueue.With(sqlqueue.Named(typed.Job, json.RawMessage(data)), sqlqueue.OnQueue(typed.Queue), sqlqueue.Priority(int(priority)))
	return s, nil
}

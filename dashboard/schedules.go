package dashboard

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const (
	schedulesFresh = 5 * time.Second // long, because each last job is read separately
	mostSchedules  = 200             // whose last job is read
	timesShown     = 10
)

// scheduleRow is a schedule as the pages show it.
type scheduleRow struct {
	operator.Schedule
	When string
	Job  string // its name
	Last string // of the last job: its state, failed, discarded or ended; empty: no job yet
}

type schedulesData struct {
	Rows []scheduleRow
}

func (v *visit) schedulesPage() error {
	rows, err := v.schedules.get(v.ctx())
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "schedules", &page{Title: v.say("schedules"), Here: "schedules", Live: true, D: schedulesData{rows}})
}

func (d *Dashboard) loadSchedules(ctx context.Context) ([]scheduleRow, error) {
	all, err := d.operator.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	ends, err := d.lastJobs(ctx, all[:min(len(all), mostSchedules)])
	if err != nil {
		return nil, err
	}
	rows := []scheduleRow{}
	for _, s := range all {
		name, _ := d.nameAndData(languages[0], s.Payload)
		rows = append(rows, scheduleRow{s, whenOf(s), name, ends[s.LastJobID]})
	}
	return rows, nil
}

// lastJobs returns the result of each schedule's last job, by its id.
func (d *Dashboard) lastJobs(ctx context.Context, all []operator.Schedule) (map[int64]string, error) {
	ends := map[int64]string{}
	var ids []int64
	for _, s := range all {
		if s.LastJobID != 0 {
			ids = append(ids, s.LastJobID)
		}
	}
	if ids == nil {
		return ends, nil
	}
	jobs, err := d.operator.Jobs(ctx, operator.JobFilter{IDs: ids, Limit: len(ids), PayloadMax: 1})
	if err != nil {
		return nil, err
	}
	now, err := d.operator.Now(ctx)
	if err != nil {
		return nil, err
	}
	for _, job := range jobs {
		ends[job.ID] = string(stateOf(job, now))
	}
	for _, id := range ids {
		if ends[id] != "" {
			continue
		}
		errs, err := d.operator.Errors(ctx, operator.ErrorFilter{JobID: id, Limit: 1})
		if err != nil {
			return nil, err
		}
		ends[id] = "ended"
		if len(errs) > 0 && (errs[0].Outcome == "failed" || errs[0].Outcome == "discarded") {
			ends[id] = errs[0].Outcome
		}
	}
	return ends, nil
}

// whenOf is the text of a schedule's times for people.
func whenOf(s operator.Schedule) string {
	if s.Cron != "" {
		return s.Cron
	}
	return "every " + s.Every
}

// ruleOf reads such a text: a cron expression, or an interval with or without every before it.
func ruleOf(when string) (cron, every string) {
	when = strings.TrimSpace(when)
	if interval, ok := strings.CutPrefix(when, "every "); ok {
		return "", interval
	}
	words := strings.Fields(when)
	if len(words) < 2 && !strings.HasPrefix(when, "@") || len(words) > 1 && unicode.IsLetter([]rune(words[1])[0]) {
		return "", when
	}
	return when, ""
}

// nextTime is one of the next times of a schedule.
type nextTime struct {
	At   time.Time
	Text string // by the schedule's clock
}

// times are the next times of a schedule, or an error in it.
type times struct {
	Next  []nextTime
	Wrong string
	Now   time.Time
	l     *language
}

// In is the duration until the time.
func (t times) In(at time.Time) string { return t.l.relative(at, t.Now) }

func timesOf(l *language, when, zone string, created, now time.Time) times {
	t := times{Now: now, l: l}
	if strings.TrimSpace(when) == "" {
		return t
	}
	cron, every := ruleOf(when)
	next, err := sqlqueue.ScheduleTimes(cron, every, strings.TrimSpace(zone), created, now, timesShown)
	if err != nil {
		t.Wrong = err.Error()
	}
	weekdays := strings.Split(l.say("weekdays"), ",")
	for _, at := range next {
		t.Next = append(t.Next, nextTime{at, weekdays[at.Weekday()] + at.Format(" 2006-01-02 15:04:05 MST")})
	}
	return t
}

// scheduleTimes answers with the next times of the form, which asks after each key press.
func (v *visit) scheduleTimes() error {
	s, err := v.look()
	if err != nil {
		return err
	}
	created := s.Now
	if name := v.query.Get("name"); name != "" {
		of, err := v.operator.Schedule(v.ctx(), name)
		if err != nil {
			return err
		}
		created = of.CreatedAt
	}
	when := v.query.Get("when")
	if len(when) > longestQuery {
		return v.wrong(http.StatusBadRequest, "query.long")
	}
	return v.renderPart("schedule", "times", timesOf(v.language, when, v.query.Get("zone"), created, s.Now))
}

func (v *visit) pauseSchedule() error {
	return v.changeSchedule(v.operator.PauseSchedule(v.ctx(), v.query.Get("name")), "paused")
}

func (v *visit) resumeSchedule() error {
	return v.changeSchedule(v.operator.ResumeSchedule(v.ctx(), v.query.Get("name")), "resumed")
}

func (v *visit) removeSchedule() error {
	return v.changeSchedule(v.operator.RemoveSchedule(v.ctx(), v.query.Get("name")), "removed")
}

func (v *visit) changeSchedule(err error, word string) error {
	if err != nil {
		return v.refusal(err)
	}
	return v.done("schedules", nil, word, -1)
}

func (v *visit) runSchedule() error {
	id, err := v.operator.RunSchedule(v.ctx(), v.query.Get("name"))
	if err != nil {
		return v.refusal(err)
	}
	return v.done(jobPath(id), nil, "pushed", -1)
}

// apiSchedules has the shape of sqlqueue schedule show.
func (v *visit) apiSchedules() error {
	rows, err := v.schedules.get(v.ctx())
	if err != nil {
		return err
	}
	all := make([]operator.Schedule, len(rows))
	for i, row := range rows {
		all[i] = row.Schedule
		all[i].Payload = v.encodable(row.Payload)
	}
	v.writeJSON(http.StatusOK, slices.Clip(all))
	return nil
}

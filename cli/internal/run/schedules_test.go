package run

import (
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

// Schedules of a file are set with all that they have, and a worker that starts again leaves them as they are.
func TestSchedulesOfAFile(t *testing.T) {
	t.Parallel()
	const text = `
report: {command: ./report}
schedules:
  nightly:
    cron: 30 2 * * *
    zone: Asia/Shanghai
    job: report
    data: {for: sales, lines: [1, 2]}
    queue: reports
    priority: -5
    missed: all
    catch_up: 2h
    no_overlap: true
  ping: {every: 10 minutes, job: ping}
`
	handlers, schedules, err := parseHandlers([]byte(text))
	if err != nil || len(handlers) != 1 || len(schedules) != 2 {
		t.Fatalf("%d handlers, %d schedules, %v", len(handlers), len(schedules), err)
	}
	q := sqlqueuetest.New(t, sqlqueue.Config{})
	o := operator.New(q.Queue)
	for range 2 {
		for _, s := range schedules {
			if err := q.Schedule(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.PauseSchedule(t.Context(), "nightly"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := o.Schedule(t.Context(), "nightly")
	if err != nil {
		t.Fatal(err)
	}
	const payload = `{"job":"report","data":{"for":"sales","lines":[1,2]}}`
	if got.Cron != "30 2 * * *" || got.Zone != "Asia/Shanghai" || got.Queue != "reports" || got.Priority != -5 || got.Missed != "all" ||
		got.CatchUp != 2*time.Hour || got.Overlap != "skip" || got.Origin != "file" || string(got.Payload) != payload || !got.Paused {
		t.Errorf("the schedule is %+v, its payload %s", got, got.Payload)
	}
	if ping, err := o.Schedule(t.Context(), "ping"); err != nil || ping.Every != "10 minutes" || ping.Queue != "default" {
		t.Errorf("%+v, %v", ping, err)
	}
	other := schedules[1]
	other.Origin = ""
	if err := q.Schedule(t.Context(), other); err == nil || !strings.Contains(err.Error(), `set by "file"`) {
		t.Errorf("a program sets the schedule of a file: %v", err)
	}
}

func TestSchedulesOfAFileAreWrong(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"schedules: [a]":                              "schedules is a list",
		"schedules: {a: b}":                           `the schedule "a"`,
		"schedules: {a: {cron: '* * * * *'}}":         "it has no job",
		"schedules: {a: {job: x, crn: '* * * * *'}}":  `"crn" is not known`,
		"schedules: {a: {job: x, every: 10}}":         "put it in quotes",
		"schedules: {a: {job: x, priority: high}}":    "priority is",
		"schedules: {a: {job: x, no_overlap: maybe}}": "no_overlap is",
		"schedules: {a: {job: x, catch_up: long}}":    "catch_up",
		"schedules: {a: {job: x, data: {1: 2}}}":      "data cannot be written as JSON",
	} {
		if _, _, err := parseHandlers([]byte("x: {command: y}\n" + text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

package sqlqueuetest_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest"
)

// at is a bubble in which it is a time.
func at(t *testing.T, now time.Time, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		<-time.After(time.Until(now))
		test(t)
	})
}

// TestSchedules: for two years a job comes once a day, at its time, or when the clock is set forward over it.
func TestSchedules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		zone         string
		year         int // and the next
		hour, minute int
		cron         string
		changed      map[string]string // by day: the time of day at which it comes instead
	}{
		{"America/New_York", 2025, 2, 30, "30 2 * * *", map[string]string{"2025-03-09": "03:00", "2026-03-08": "03:00"}},
		{"America/New_York", 2025, 1, 30, "30 1 * * *", nil}, // of one that comes twice the first counts
		{"Asia/Shanghai", 2025, 2, 30, "30 2 * * *", nil},
		{"Africa/Cairo", 2025, 0, 0, "0 0 * * *", map[string]string{"2025-04-25": "01:00", "2026-04-24": "01:00"}},
		{"America/Sao_Paulo", 2017, 0, 0, "0 0 * * *", map[string]string{"2017-10-15": "01:00", "2018-11-04": "01:00"}},
		{"Australia/Lord_Howe", 2025, 2, 15, "15 2 * * *", map[string]string{"2025-10-05": "02:30", "2026-10-04": "02:30"}},
	} {
		t.Run(test.zone+" "+test.cron, func(t *testing.T) {
			t.Parallel()
			zone, err := time.LoadLocation(test.zone)
			if err != nil {
				t.Fatal(err)
			}
			at(t, time.Date(test.year, 1, 1, 12, 0, 0, 0, zone), func(t *testing.T) {
				q := sqlqueuetest.New(t, sqlqueue.Config{})
				if err := q.Schedule(t.Context(), sqlqueue.Schedule{
					Name: "daily", Cron: test.cron, Zone: test.zone, Job: count{},
				}); err != nil {
					t.Fatal(err)
				}
				day := time.Date(test.year, 1, 1, 12, 0, 0, 0, zone)
				for _, job := range q.RunSchedulesUntil(day.AddDate(2, 0, 0)) {
					day = day.AddDate(0, 0, 1)
					date, want := day.Format(time.DateOnly), fmt.Sprintf("%02d:%02d", test.hour, test.minute)
					if instead, ok := test.changed[date]; ok {
						want = instead
					}
					if got := job.Tick.In(zone).Format("2006-01-02 15:04"); got != date+" "+want {
						t.Fatalf("a job comes at %s, want %s %s", got, date, want)
					}
				}
				if want := time.Date(test.year+2, 1, 1, 12, 0, 0, 0, zone); !day.Equal(want) {
					t.Errorf("the last job is of %v, want of %v", day, want)
				}
			})
		})
	}
}

// Several schedules come in the order of their times, a paused one does not, and what goes by the hour has an hour more in autumn.
func TestSchedulesTogether(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	at(t, time.Date(2026, 10, 31, 0, 30, 0, 0, zone), func(t *testing.T) {
		q := sqlqueuetest.New(t, sqlqueue.Config{})
		for name, s := range map[string]sqlqueue.Schedule{
			"hourly": {Cron: "0 * * * *", Zone: "America/New_York"},
			"every":  {Every: "90 minutes"},
			"paused": {Cron: "@daily"},
		} {
			s.Name, s.Job = name, sqlqueue.Named(name, nil)
			if err := q.Schedule(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := operator.New(q.Queue).PauseSchedule(t.Context(), "paused"); err != nil {
			t.Fatal(err)
		}
		until := time.Date(2026, 11, 2, 0, 30, 0, 0, zone) // 49 hours later
		of, last := map[string]int{}, time.Time{}
		for _, job := range q.RunSchedulesUntil(until) {
			of[job.Job]++
			if job.Tick.Before(last) {
				t.Errorf("%s of %v comes after %v", job.Job, job.Tick, last)
			}
			last = job.Tick
		}
		if of["hourly"] != 49 || of["every"] != 32 || of["paused"] != 0 {
			t.Errorf("the jobs are %v, want 49 of hourly, 32 of every and none of paused", of)
		}
		if now := time.Now(); !now.Equal(until) {
			t.Errorf("it is %v, want %v", now, until)
		}
		if more := q.RunSchedulesUntil(until.Add(time.Hour)); len(more) != 2 {
			t.Errorf("%d jobs in the next hour, want 2", len(more))
		}
	})
}

package operator_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// Rates are those of whole minutes, and only a lower bound where older pushes were not looked at.
func TestRates(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 0, 30, 0, time.UTC)
	minute := now.Truncate(time.Minute)
	counts := operator.Counts{Now: now, PushedSince: now.Add(-2 * time.Minute), Minutes: []operator.Count{
		{Minute: minute, Queue: "mail", Done: 100},
		{Minute: minute.Add(-time.Minute), Queue: "mail", Pushed: 3, Done: 2, Failed: 1, Released: 4},
		{Minute: minute.Add(-2 * time.Minute), Queue: "mail", Pushed: 1},
		{Minute: minute.Add(-time.Minute), Queue: "sms", Pushed: 1000},
	}}
	for period, want := range map[time.Duration]operator.Rates{
		time.Minute:     {Minutes: 1, Pushed: 3, Done: 2, Failed: 1, Released: 4},
		3 * time.Minute: {Minutes: 3, Pushed: 1.33, Done: 0.67, Failed: 0.33, Released: 1.33, AtLeast: true},
	} {
		if got := counts.Rates("mail", period); got != want {
			t.Errorf("of %v: %+v, want %+v", period, got, want)
		}
	}
}

// A trend ends with the present and begins where it was asked to.
func TestTrend(t *testing.T) {
	now := time.Date(2030, 1, 1, 12, 7, 30, 0, time.UTC)
	var q operator.QueueStats
	for i := range 20 {
		q.Minutes = append(q.Minutes, operator.Minute{
			Minute: now.Truncate(time.Minute).Add(-time.Duration(i) * time.Minute), Done: int64(i + 1),
		})
	}
	got := q.Trend(now, 10*time.Minute, 5*time.Minute, func(m operator.Minute) int64 { return m.Done })
	if !slices.Equal(got, []int64{40, 15}) {
		t.Errorf("it is %v, want [40 15]", got)
	}
}

func TestStats(t *testing.T) {
	q := openSQLite(t)
	o := operator.New(q)
	if got, err := o.Stats(t.Context(), operator.StatsFilter{Since: time.Minute}); err != nil || len(got.Queues) != 0 {
		t.Errorf("without jobs: %+v, %v", got, err)
	}
	if _, err := q.PushMany(t.Context(), []sqlqueue.Pushable{invoice{1}, invoice{2}}, sqlqueue.OnQueue("mail", "sms")); err != nil {
		t.Fatal(err)
	}
	on := true
	if err := o.Control(t.Context(), "", operator.ControlChange{Maintenance: &on}); err != nil {
		t.Fatal(err)
	}
	got, err := o.Stats(t.Context(), operator.StatsFilter{Since: 10*time.Minute + time.Second})
	if err != nil || len(got.Queues) != 3 || got.Queues[0].Queue != "" || got.Queues[1].Queue != "mail" || got.Queues[2].Queue != "sms" ||
		got.Now.IsZero() {
		t.Fatalf("got %+v, %v", got, err)
	}
	if want := []time.Duration{time.Minute, 5 * time.Minute, 10 * time.Minute}; !slices.Equal(got.Periods, want) {
		t.Errorf("the periods are %v", got.Periods)
	}
	if mail := got.Queues[1]; mail.Ready != 2 || len(mail.Rates) != 3 || len(mail.Minutes) != 1 || mail.Minutes[0].Pushed != 2 {
		t.Errorf("of mail: %+v", mail)
	}
	got, err = o.Stats(t.Context(), operator.StatsFilter{Queue: "sms", Since: time.Minute, Most: 1})
	if err != nil || len(got.Queues) != 1 || got.Queues[0].Ready != 1 || got.Queues[0].CountedTo != 1 || len(got.Periods) != 1 {
		t.Errorf("of sms: %+v, %v", got, err)
	}
	if _, err := o.Stats(t.Context(), operator.StatsFilter{Since: time.Second}); err == nil {
		t.Error("of less than a minute there are stats")
	}
}

// Only workers that have written their rows lately count, and jobs no further than asked for.
func TestLoads(t *testing.T) {
	q := openSQLite(t)
	if _, err := q.PushMany(t.Context(), make120(), sqlqueue.OnQueue("mail")); err != nil {
		t.Fatal(err)
	}
	register(t, q, "alive", "mail")
	register(t, q, "dead", "mail")
	execute(t, q, "UPDATE job_workers SET seen_at = seen_at - 31000000 WHERE id = 'dead'")
	got, err := operator.New(q).Loads(t.Context(), []string{"mail", "empty"}, 50)
	if err != nil || len(got) != 2 || got[0].Ready != 50 || got[0].CountedTo != 50 || got[0].Workers != 1 || got[0].Oldest.IsZero() ||
		got[1] != (operator.Load{Queue: "empty"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	workers, err := operator.New(q).Workers(t.Context())
	if err != nil || len(workers) != 2 {
		t.Fatalf("the workers are %+v, %v", workers, err)
	}
	for _, w := range workers {
		if w.Dead != (w.ID == "dead") {
			t.Errorf("worker %s is dead: %t", w.ID, w.Dead)
		}
	}
}

func TestNow(t *testing.T) {
	q := openSQLite(t)
	before := time.Now().Add(-time.Second)
	if now, err := operator.New(q).Now(t.Context()); err != nil || now.Before(before) || now.After(time.Now().Add(time.Second)) {
		t.Errorf("it is %v, %v", now, err)
	}
}

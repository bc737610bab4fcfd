package worker

import (
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// A run without a verdict, and an outcome that nobody has said, change nothing in the database.
func TestC6_TheZeroVerdictIsNotSuccess(t *testing.T) {
	var v verdict
	if s, ok := v.settlement(sqlqueue.Reservation{ID: 1, By: "n"}); ok {
		t.Errorf("it is settled as %v", s.Outcome)
	}
	if got := v.kind.String(); got != "no outcome" {
		t.Errorf("it is called %q", got)
	}
	if outcomeOf(&outcome{}) != nil || outcomeOf(&outcome{kind: processed}) != nil || outcomeOf(&outcome{kind: kinds}) != nil {
		t.Error("an outcome that nobody can have said counts")
	}
	for k := processed; k < kinds; k++ {
		if k.String() == "" || k.String() == "no outcome" {
			t.Errorf("kind %d has no name", k)
		}
	}
}

// What a run without a verdict becomes: as after an error, by the worker's own backoff, never done.
func TestC6_TheFallbackNeverDeletes(t *testing.T) {
	r := rules{tries: 2, backoff: func(int) time.Duration { panic("not asked") }}
	if v := r.fallback(errUndecided, "", JobInfo{Attempts: 1}, time.Now()); v.kind != released || !v.exception {
		t.Errorf("before the last try: %v", v.kind)
	}
	if v := r.fallback(errUndecided, "", JobInfo{Attempts: 2}, time.Now()); v.kind != failed || v.text == "" {
		t.Errorf("on the last try: %v", v.kind)
	}
}

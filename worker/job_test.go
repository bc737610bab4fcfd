package worker_test

import (
	"context"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// A test of an application makes a JobInfo itself, and calls its handler with it.
func TestAJobThatNothingRuns(t *testing.T) {
	t.Parallel()
	job := worker.JobInfo{ID: 7, Name: "send_letter"}
	job.Completed()
	job.Progress(0.5, "half")
	job.LogWith(context.Background())
	if err := job.SetResult(letter{"x"}); err != nil {
		t.Error(err)
	}
	if of, kept := job.Reservation(), job.Kept(); of != (sqlqueue.Reservation{ID: 7}) || kept != nil {
		t.Errorf("its reservation is %+v, and it is kept as %+v", of, kept)
	}
}

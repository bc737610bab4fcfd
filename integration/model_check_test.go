package integration

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// modelJob is what must be in a row of jobs.
type modelJob struct {
	sqlqueue.Job // its times and its payload stand here:

	name string
	data modelData

	available, created, reservedAt, expires moment
}

// modelFailure is what must be in a row of failed_jobs.
type modelFailure struct {
	modelJob
	failedID    int64 // 0: not read yet
	text, stack string
	failedAt    moment
}

// free ends the reservation. Whether the job was started is for the caller to say.
func (j *modelJob) free(available moment) {
	j.Reserved, j.ReservedBy, j.reservedAt, j.expires, j.available = false, "", moment{}, moment{}, available
}

func (j *modelJob) state(now time.Time) operator.State {
	switch {
	case j.Reserved:
		return operator.Reserved
	case j.available.to.After(now):
		return operator.Delayed
	}
	return operator.Ready
}

// compare compares a row with what must be in it, and learns its times.
func (j *modelJob) compare(t *rapid.T, row sqlqueue.Job) {
	t.Helper()
	of := fmt.Sprintf("job %d: ", j.ID)
	j.available.check(t, of+"available_at", row.AvailableAt)
	j.created.check(t, of+"created_at", row.CreatedAt)
	j.reservedAt.check(t, of+"reserved_at", row.ReservedAt)
	j.expires.check(t, of+"expires_at", row.ExpiresAt)
	want := fmt.Sprintf("%+v", j.Job) + fmt.Sprint(j.name, j.data, nil)
	text := payload(row.Payload)
	row.Payload, row.AvailableAt, row.CreatedAt, row.ReservedAt, row.ExpiresAt = nil, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	if got := fmt.Sprintf("%+v", row) + text; got != want {
		t.Fatalf("the row is  %s\nit should be %s", got, want)
	}
}

// rows reads the table of jobs.
func (m *machine) rows(t *rapid.T) map[int64]sqlqueue.Job {
	rows := map[int64]sqlqueue.Job{}
	jobs, err := operator.New(m.queues[0]).Jobs(t.Context(), operator.JobFilter{Limit: 1000})
	must(t, err)
	for _, j := range jobs {
		rows[j.ID] = j
	}
	return rows
}

// check compares all that can be seen with the model.
func (m *machine) check(t *rapid.T) {
	rows := m.rows(t)
	for _, j := range m.retried { // under which id, is told by the data
		for id, row := range rows {
			if m.jobs[id] == nil && payload(row.Payload) == fmt.Sprint(j.name, j.data, nil) {
				m.add(t, id, j)
				break
			}
		}
	}
	for id, row := range rows {
		if m.jobs[id] == nil {
			t.Fatalf("job %d should not be there: %+v", id, row)
		}
	}
	for id, j := range m.jobs {
		row, ok := rows[id]
		if !ok {
			t.Fatalf("job %d has vanished", id)
		}
		j.compare(t, row)
	}
	for _, j := range m.retried {
		if j.ID == 0 {
			t.Fatal("a retried job has vanished")
		}
	}
	m.retried = nil
	m.checkFailed(t)
	m.checkQueues(t)
	m.checkBatches(t)
}

func (m *machine) checkFailed(t *rapid.T) {
	rows, err := operator.New(m.queues[1]).FailedJobs(t.Context(), operator.FailedFilter{Limit: 1000})
	must(t, err)
	if len(rows) != len(m.failed) {
		t.Fatalf("%d jobs have failed, want %d", len(rows), len(m.failed))
	}
	for _, row := range rows {
		f := m.failed[row.JobID]
		switch {
		case f == nil:
			t.Fatalf("job %d has not failed", row.JobID)
		case f.failedID == 0:
			if slices.Contains(m.failures, row.ID) {
				t.Fatalf("the id %d of a failed job is used again", row.ID)
			}
			f.failedID = row.ID
			m.failures = append([]int64{row.ID}, m.failures...)
		}
		got := fmt.Sprint(row.ID, row.Queue, row.Priority, payload(row.Payload), row.Attempts, row.UniqueKey, row.Error, row.Stack)
		want := fmt.Sprint(f.failedID, f.Queue, f.Priority, fmt.Sprint(f.name, f.data, nil), f.Attempts, f.UniqueKey, f.text, f.stack)
		if got != want {
			t.Fatalf("the failed job is  %s\nit should be %s", got, want)
		}
		f.created.check(t, "a failed job's created_at", row.CreatedAt)
		f.failedAt.check(t, "failed_at", row.FailedAt)
	}
}

func (m *machine) checkQueues(t *rapid.T) {
	now := m.now(t)
	want := map[string]*operator.QueueInfo{}
	queue := func(name string) *operator.QueueInfo {
		if want[name] == nil {
			want[name] = &operator.QueueInfo{Queue: name, Control: driver.Control{Queue: name}}
		}
		return want[name]
	}
	for _, j := range m.jobs {
		q := queue(j.Queue)
		switch j.state(now) {
		case operator.Reserved:
			q.Reserved++
		case operator.Delayed:
			q.Delayed++
		case operator.Ready:
			q.Ready++
			if q.Oldest.IsZero() || j.available.from.Before(q.Oldest) {
				q.Oldest = j.available.from
			}
		}
	}
	for _, f := range m.failed {
		queue(f.Queue).Failed++
	}
	for name, c := range m.controls {
		queue(name).Control = driver.Control{Queue: name, Paused: c.isPaused(now), Restarts: c.restarts, Maintenance: c.maintenance}
	}
	got, err := operator.New(m.queues[0]).Queues(t.Context(), 0)
	must(t, err)
	if len(got) != len(want) {
		t.Fatalf("there are %d queues, want %d", len(got), len(want))
	}
	for _, info := range got {
		if c := m.controls[info.Queue]; c != nil && info.Control.Paused {
			c.until.check(t, "paused_until", info.Control.PausedUntil)
		}
		info.Control.PausedUntil = time.Time{}
		if w := want[info.Queue]; w == nil || fmt.Sprint(info) != fmt.Sprint(*w) {
			t.Fatalf("the queue is %+v, want %+v", info, w)
		}
	}
}

package integration

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// modelLimits are how many jobs of a queue may run. The batches' queues have theirs from a pattern.
var modelLimits = map[string]int{"b": 2, "import/b1": 1, "import/b2": 1}

// setLimits sets them, before a store has read any.
func (m *machine) setLimits(t *testing.T) {
	t.Helper()
	for _, l := range []operator.Limit{{Queue: "b", Running: 2}, {Queue: "import/*", Running: 1}} {
		if err := operator.New(m.queues[0]).SetLimit(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
}

// modelBatch is what must be in a row of job_batches.
type modelBatch struct {
	id                                int64
	queue                             string
	total                             int64
	callbacks                         map[string]modelData // of success, finish and failure
	sealed, failed, finished, success bool
}

// batch makes a batch, pushes into one, or seals one.
func (m *machine) batch(t *rapid.T) {
	const most = 2
	q := m.any(t)
	if len(m.batches) < most && (len(m.batches) == 0 || rapid.Bool().Draw(t, "another batch")) {
		id, err := q.Batch("import").Create(t.Context())
		must(t, err)
		b := &modelBatch{id: id, queue: fmt.Sprint("import/b", id)}
		if id != int64(len(m.batches)+1) {
			t.Fatalf("the batch has the id %d", id)
		}
		m.batches = append(m.batches, b)
	}
	b := draw(t, "batch", m.batches...)
	if rapid.Bool().Draw(t, "seal") {
		m.seal(t, q, b)
		return
	}
	wanted := make([]wantedJob, draw(t, "jobs", 1, 2, 0))
	jobs := make([]sqlqueue.Pushable, len(wanted))
	for i := range wanted {
		wanted[i] = wantedJob{queue: b.queue, name: "job", data: m.drawData(t)}
		jobs[i] = sqlqueue.Named(wanted[i].name, wanted[i].data)
	}
	var answer pushAnswer
	when := m.during(t, func() { answer.ids, answer.err = q.BatchOf(b.id).Push(t.Context(), jobs...) })
	if len(jobs) == 0 || b.finished {
		if want := len(jobs) > 0; errors.Is(answer.err, sqlqueue.ErrBatchEnded) != want {
			t.Fatalf("a push of %d jobs into a batch that has finished: %v; the answer is %v", len(jobs), b.finished, answer.err)
		}
		return
	}
	b.total += int64(len(jobs))
	m.pushed(t, wanted, answer, when)
}

func (m *machine) seal(t *rapid.T, q *sqlqueue.Queue, b *modelBatch) {
	callbacks := map[string]modelData{}
	on := func(name string) sqlqueue.Pushable {
		callbacks[name] = m.drawData(t)
		return sqlqueue.With(sqlqueue.Named(name, callbacks[name]), sqlqueue.OnQueue("a"))
	}
	given := []sqlqueue.Callback{sqlqueue.OnSuccess(on("success")), sqlqueue.OnFinish(on("finish")), sqlqueue.OnFailure(on("failure"))}
	var err error
	when := m.during(t, func() { _, err = q.BatchOf(b.id).Seal(t.Context(), given...) })
	if errors.Is(err, sqlqueue.ErrBatchEnded) != b.sealed || err != nil && !b.sealed {
		t.Fatalf("the batch is sealed: %v; the answer is %v", b.sealed, err)
	}
	if b.sealed {
		return
	}
	b.sealed, b.callbacks = true, callbacks
	if b.total == 0 {
		m.ends(b, when)
	}
}

// look finds the batches that have ended.
func (m *machine) look(t *rapid.T) {
	q := m.any(t)
	var looked driver.BatchLooked
	when := m.during(t, func() {
		var err error
		looked, err = q.LookBatches(t.Context(), driver.BatchLook{Sweep: true})
		must(t, err)
	})
	want := 0
	for _, b := range m.batches {
		want += m.ends(b, when)
	}
	if len(looked.Pushed) != want {
		t.Fatalf("%d callbacks were pushed, want %d", len(looked.Pushed), want)
	}
}

// ends notes what has happened to a batch, and what that pushes. It returns how many jobs that is.
func (m *machine) ends(b *modelBatch, when moment) (pushed int) {
	if !b.sealed || b.success {
		return 0
	}
	waits, failed := false, false
	for _, j := range m.jobs {
		waits = waits || j.Queue == b.queue
	}
	for _, f := range m.failed {
		failed = failed || f.Queue == b.queue
	}
	call := func(name string) {
		pushed++
		m.retried = append(m.retried, &modelJob{
			Job: sqlqueue.Job{Queue: "a"}, name: name, data: b.callbacks[name], available: when, created: when,
		})
	}
	if failed && !b.failed {
		b.failed = true
		call("failure")
	}
	if !waits && !b.finished {
		b.finished = true
		call("finish")
	}
	if !waits && !failed {
		b.success = true
		call("success")
	}
	return pushed
}

func (m *machine) checkBatches(t *rapid.T) {
	for _, b := range m.batches {
		row, err := operator.New(m.queues[0]).Batch(t.Context(), b.id)
		must(t, err)
		got := fmt.Sprint(row.Queue, row.Total, !row.SealedAt.IsZero(), !row.FailedAt.IsZero(), !row.FinishedAt.IsZero(),
			!row.SucceededAt.IsZero(), !row.ClosedAt.IsZero())
		if want := fmt.Sprint(b.queue, b.total, b.sealed, b.failed, b.finished, b.success, b.success); got != want {
			t.Fatalf("the batch is  %s\nit should be %s", got, want)
		}
	}
}

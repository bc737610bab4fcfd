package integration

import (
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func isErr(err, target error) bool { return errors.Is(err, target) }

func (m *machine) edit(t *rapid.T) {
	q, id, data := m.any(t), m.someID(t), m.drawData(t)
	var edit operator.JobEdit
	if draw(t, "queue", false, true) {
		edit.Queue = new(draw(t, "to", modelQueues...))
	}
	if draw(t, "priority", false, true) {
		edit.Priority = new(draw(t, "to", modelPriorities...))
	}
	if draw(t, "time", false, true) {
		edit.At = new(m.now(t).Add(draw(t, "to", -hour, hour)))
	}
	if draw(t, "name", false, true) {
		edit.Name = new("edited")
	}
	if draw(t, "data", false, true) {
		edit.Data = data
	}
	err := operator.New(q).Edit(t.Context(), id, edit)

	j := m.jobs[id]
	var duplicate *sqlqueue.DuplicateError
	switch {
	case j == nil:
		wantErr(t, err, operator.ErrNotFound)
		return
	case j.Reserved:
		wantErr(t, err, operator.ErrReserved)
		return
	case edit.Queue != nil && m.holder(*edit.Queue, j.UniqueKey) != nil && m.holder(*edit.Queue, j.UniqueKey) != j:
		holder := m.holder(*edit.Queue, j.UniqueKey)
		want := []sqlqueue.Duplicate{{Queue: *edit.Queue, Key: j.UniqueKey, Holder: holder.ID}}
		if !errors.As(err, &duplicate) || !slices.Equal(duplicate.Duplicates, want) {
			t.Fatalf("the key is held by job %d, and the error is %v", holder.ID, err)
		}
		return
	}
	must(t, err)
	if edit.Queue != nil {
		j.Queue = *edit.Queue
	}
	if edit.Priority != nil {
		j.Priority = int16(*edit.Priority)
	}
	if edit.At != nil {
		j.available = moment{*edit.At, *edit.At}
	}
	if edit.Name != nil {
		j.name = *edit.Name
	}
	if edit.Data != nil {
		j.data = data
	}
}

// wantErr checks an error, or that there is none.
func wantErr(t *rapid.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("the error is %v, want %v", err, want)
	}
}

// someIDs draws some ids, each once.
func (m *machine) someIDs(t *rapid.T) []int64 {
	var ids []int64
	for range draw(t, "ids", 1, 2, 3) {
		if id := m.someID(t); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// each compares the answer to an operation on ids with what the model says of each.
func each(t *rapid.T, n int, err error, ids []int64, allowed func(id int64) error) (done []int64) {
	t.Helper()
	for _, id := range ids {
		if refused := allowed(id); refused == nil {
			done = append(done, id)
		} else {
			wantErr(t, err, refused)
		}
	}
	if n != len(done) || (err == nil) != (len(done) == len(ids)) {
		t.Fatalf("of %v it were %d, %v; want %v", ids, n, err, done)
	}
	return done
}

func (m *machine) cancel(t *rapid.T) {
	ids := m.someIDs(t)
	n, err := operator.New(m.any(t)).Cancel(t.Context(), ids...)
	for _, id := range each(t, n, err, ids, func(id int64) error {
		switch j := m.jobs[id]; {
		case j == nil:
			return operator.ErrNotFound
		case j.Reserved:
			return operator.ErrReserved
		}
		return nil
	}) {
		delete(m.jobs, id)
	}
}

func (m *machine) release(t *rapid.T) {
	q, ids := m.any(t), m.someIDs(t)
	var n int
	var err error
	when := m.during(t, func() { n, err = operator.New(q).Release(t.Context(), ids...) })
	for _, id := range each(t, n, err, ids, func(id int64) error {
		switch j := m.jobs[id]; {
		case j == nil:
			return operator.ErrNotFound
		case !j.Reserved:
			return operator.ErrNotReserved
		}
		return nil
	}) {
		m.jobs[id].free(when)
		m.jobs[id].Started = false
	}
}

// filter draws one, and returns what passes it.
func (m *machine) filter(t *rapid.T, states ...operator.State) (operator.JobFilter, []*modelJob) {
	f := operator.JobFilter{Queue: draw(t, "queue", append(slices.Clone(modelQueues), "")...), State: draw(t, "state", states...)}
	switch draw(t, "more", "nothing", "name", "kind", "after", "until", "older") {
	case "name":
		f.Name = "job"
	case "kind":
		f.Fields = []operator.Field{{Path: []string{"kind"}, Value: "x"}}
	case "after":
		f.After = m.someID(t)
	case "until":
		f.Until = m.someID(t)
	case "older":
		f.OlderThan = hour / 4
	}
	now := m.now(t)
	var passed []*modelJob
	for _, j := range m.jobs {
		if (f.Queue == "" || j.Queue == f.Queue) && (f.State == "" || j.state(now) == f.State) && (f.Name == "" || j.name == f.Name) &&
			(f.Fields == nil || j.data.Kind == "x") && j.ID > f.After && (f.Until == 0 || j.ID <= f.Until) &&
			(f.OlderThan == 0 || now.Sub(j.created.to) > f.OlderThan) {
			passed = append(passed, j)
		}
	}
	return f, passed
}

func (m *machine) cancelAll(t *rapid.T) {
	f, passed := m.filter(t, "", operator.Ready, operator.Delayed, operator.Reserved)
	count, err := operator.New(m.any(t)).CountJobs(t.Context(), f, 1000)
	if err != nil || count != len(passed) {
		t.Fatalf("%d jobs pass, %v; it should be %d", count, err, len(passed))
	}
	passed = slices.DeleteFunc(passed, func(j *modelJob) bool { return j.Reserved })
	n, err := operator.New(m.any(t)).CancelAll(t.Context(), f)
	m.deleted(t, n, err, passed)
}

func (m *machine) deleted(t *rapid.T, n int, err error, want []*modelJob) {
	t.Helper()
	must(t, err)
	if n != len(want) {
		t.Fatalf("%d jobs were deleted, want %d", n, len(want))
	}
	for _, j := range want {
		delete(m.jobs, j.ID)
	}
}

func (m *machine) releaseAll(t *rapid.T) {
	f, passed := m.filter(t, operator.Reserved)
	var n int
	var err error
	when := m.during(t, func() { n, err = operator.New(m.any(t)).ReleaseAll(t.Context(), f) })
	must(t, err)
	if n != len(passed) {
		t.Fatalf("%d jobs were released, want %d", n, len(passed))
	}
	for _, j := range passed {
		j.free(when)
		j.Started = false
	}
}

func (m *machine) clear(t *rapid.T) {
	queue, reservedToo := draw(t, "queue", modelQueues...), draw(t, "reserved too", false, true)
	n, err := operator.New(m.any(t)).Clear(t.Context(), queue, reservedToo)
	var want []*modelJob
	for _, j := range m.jobs {
		if j.Queue == queue && (!j.Reserved || reservedToo) {
			want = append(want, j)
		}
	}
	m.deleted(t, n, err, want)
}

// failedFilter draws one, and returns what passes it, the newest first, and whether it names something that is not there.
func (m *machine) failedFilter(t *rapid.T) (f operator.FailedFilter, passed []*modelFailure, unknown bool) {
	switch draw(t, "which", "all", "queue", "error", "other error", "ids") {
	case "queue":
		f.Queue = draw(t, "queue", modelQueues...)
	case "error":
		f.Error = "no*od"
	case "other error":
		f.Error = "fine"
	case "ids":
		f.IDs = []int64{draw(t, "failed id", append(slices.Clone(m.failures), 1<<40)...)}
	}
	for _, failure := range m.failed {
		if (f.Queue == "" || failure.Queue == f.Queue) && f.Error != "fine" && (f.IDs == nil || slices.Contains(f.IDs, failure.failedID)) {
			passed = append(passed, failure)
		}
	}
	slices.SortFunc(passed, func(a, b *modelFailure) int { return int(b.failedID - a.failedID) })
	return f, passed, len(passed) < len(f.IDs)
}

func (m *machine) retry(t *rapid.T) {
	q := m.any(t)
	f, passed, unknown := m.failedFilter(t)
	var n int
	var err error
	when := m.during(t, func() { n, err = operator.New(q).Retry(t.Context(), f) })
	duplicate := &sqlqueue.DuplicateError{}
	_ = errors.As(err, &duplicate)
	var left []int64
	for _, d := range duplicate.Duplicates {
		left = append(left, d.Failed)
	}
	var retried []*modelJob
	held := func(f *modelFailure) bool {
		return m.holder(f.Queue, f.UniqueKey) != nil || slices.ContainsFunc(retried, func(j *modelJob) bool {
			return f.UniqueKey != "" && j.Queue == f.Queue && j.UniqueKey == f.UniqueKey
		})
	}
	for _, f := range passed {
		if slices.Contains(left, f.failedID) {
			continue
		}
		if held(f) {
			t.Fatalf("failed job %d was retried, and its key is held", f.failedID)
		}
		retried = append(retried, &modelJob{
			Job:  sqlqueue.Job{Queue: f.Queue, Priority: f.Priority, UniqueKey: f.UniqueKey},
			name: f.name, data: f.data, available: when, created: when,
		})
		delete(m.failed, f.ID)
	}
	for _, f := range passed {
		if slices.Contains(left, f.failedID) && !held(f) {
			t.Fatalf("failed job %d was not retried, and nobody has its key", f.failedID)
		}
	}
	m.retried = append(m.retried, retried...)
	if n != len(retried) || len(retried)+len(left) != len(passed) || isErr(err, operator.ErrNotFound) != unknown ||
		(err == nil) == (unknown || left != nil) {
		t.Fatalf("%d were retried, %v; want %d, and %v to stay", n, err, len(retried), left)
	}
}

func (m *machine) forget(t *rapid.T) {
	f, passed, unknown := m.failedFilter(t)
	n, err := operator.New(m.any(t)).Forget(t.Context(), f)
	if n != len(passed) || (err != nil) != unknown || unknown && !isErr(err, operator.ErrNotFound) {
		t.Fatalf("%d were forgotten, %v; want %d", n, err, len(passed))
	}
	for _, failure := range passed {
		delete(m.failed, failure.ID)
	}
}

func (m *machine) control(t *rapid.T) {
	queue := draw(t, "queue", append(slices.Clone(modelQueues), "")...)
	var change operator.ControlChange
	c := m.controls[queue]
	if c == nil {
		c = &modelControl{}
		m.controls[queue] = c
	}
	var when moment
	do := func() {
		when = m.during(t, func() { must(t, operator.New(m.any(t)).Control(t.Context(), queue, change)) })
	}
	switch draw(t, "say", "resume", "pause", "pause for an hour", "maintenance", "end of maintenance", "restart") {
	case "resume":
		change.Resume = true
		do()
		c.paused, c.until = false, moment{}
	case "pause":
		change.Pause = true
		do()
		c.paused, c.until = true, moment{}
	case "pause for an hour":
		change.Pause, change.PauseFor = true, hour
		do()
		c.paused, c.until = true, when.add(hour)
	case "maintenance":
		change.Maintenance = new(true)
		do()
		c.maintenance = true
	case "end of maintenance":
		change.Maintenance = new(false)
		do()
		c.maintenance = false
	case "restart":
		change.Restart = true
		do()
		c.restarts++
	}
}

// modelControl is what operators have said about a queue.
type modelControl struct {
	paused      bool
	until       moment
	maintenance bool
	restarts    int64
}

func (c *modelControl) isPaused(now time.Time) bool {
	return c.paused && (c.until.from.IsZero() || c.until.from.After(now))
}

package integration

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// wantedJob is a job to push.
type wantedJob struct {
	queue    string
	priority int
	delay    time.Duration
	at       time.Time // instead, if not zero
	key      string
	name     string
	data     modelData
}

// modelData is different for each job.
type modelData struct {
	N    int    `json:"n"`
	Kind string `json:"kind"`
}

func (m *machine) drawData(t *rapid.T) modelData {
	m.serial++
	return modelData{m.serial, draw(t, "kind", "x", "y")}
}

func (m *machine) drawPushes(t *rapid.T, n int) []wantedJob {
	var wanted []wantedJob
	for range n {
		w := wantedJob{
			queue: draw(t, "queue", modelQueues...), priority: draw(t, "priority", modelPriorities...), key: draw(t, "key", modelKeys...),
			name: draw(t, "name", "job", "other"), data: m.drawData(t),
		}
		switch draw(t, "when", "now", "in an hour", "at a past time", "at a time to come") {
		case "in an hour":
			w.delay = hour
		case "at a past time":
			w.at = m.now(t).Add(-hour)
		case "at a time to come":
			w.at = m.now(t).Add(hour)
		}
		wanted = append(wanted, w)
	}
	return wanted
}

func (w wantedJob) pushable() sqlqueue.Pushable {
	options := []sqlqueue.PushOption{sqlqueue.OnQueue(w.queue), sqlqueue.Priority(w.priority), sqlqueue.Delay(w.delay)}
	if !w.at.IsZero() {
		options = append(options, sqlqueue.At(w.at))
	}
	if w.key != "" {
		options = append(options, sqlqueue.Unique(w.key))
	}
	return sqlqueue.With(sqlqueue.Named(w.name, w.data), options...)
}

type pushAnswer struct {
	ids []int64
	err error
}

func (m *machine) push(t *rapid.T) { m.pushSome(t, 1) }

func (m *machine) pushMany(t *rapid.T) { m.pushSome(t, draw(t, "jobs", 2, 3, 4)) }

func (m *machine) pushSome(t *rapid.T, n int) {
	q, wanted := m.any(t), m.drawPushes(t, n)
	jobs := make([]sqlqueue.Pushable, n)
	for i, w := range wanted {
		jobs[i] = w.pushable()
	}
	var answer pushAnswer
	when := m.during(t, func() { answer.ids, answer.err = q.PushMany(t.Context(), jobs) })
	m.pushed(t, wanted, answer, when)
}

// pushed adds what was pushed to the model. Of a key that several have the first gets it.
func (m *machine) pushed(t *rapid.T, wanted []wantedJob, answer pushAnswer, when moment) {
	t.Helper()
	var duplicate *sqlqueue.DuplicateError
	if answer.err != nil && !errors.As(answer.err, &duplicate) || len(answer.ids) != len(wanted) {
		t.Fatalf("%d pushes are answered with %v, %v", len(wanted), answer.ids, answer.err)
	}
	var duplicates []sqlqueue.Duplicate
	for i, w := range wanted {
		id := answer.ids[i]
		if holder := m.holder(w.queue, w.key); holder != nil {
			duplicates = append(duplicates, sqlqueue.Duplicate{Queue: w.queue, Key: w.key, Holder: holder.ID})
			if id != holder.ID {
				t.Fatalf("push %d returns job %d; its key is held by %d", i+1, id, holder.ID)
			}
			continue
		}
		available := when.add(w.delay)
		if !w.at.IsZero() {
			available = moment{w.at, w.at}
		}
		m.add(t, id, &modelJob{
			Job:  sqlqueue.Job{Queue: w.queue, Priority: int16(w.priority), UniqueKey: w.key},
			name: w.name, data: w.data, available: available, created: when,
		})
	}
	if duplicate == nil {
		duplicate = &sqlqueue.DuplicateError{}
	}
	if !slices.Equal(duplicate.Duplicates, duplicates) {
		t.Fatalf("duplicates are %+v, want %+v", duplicate.Duplicates, duplicates)
	}
}

// add adds a job, whose id must be new.
func (m *machine) add(t *rapid.T, id int64, j *modelJob) {
	t.Helper()
	if slices.Contains(m.ids, id) || id <= 0 {
		t.Fatalf("the id %d is used again", id)
	}
	m.ids = append([]int64{id}, m.ids...)
	j.ID = id
	m.jobs[id] = j
}

// holder is the job that has a unique key, or nil.
func (m *machine) holder(queue, key string) *modelJob {
	for _, j := range m.jobs {
		if key != "" && j.Queue == queue && j.UniqueKey == key {
			return j
		}
	}
	return nil
}

// payload is what a job's payload says.
func payload(text []byte) string {
	p, err := sqlqueue.ParsePayload(text)
	var data modelData
	if err == nil {
		err = sqlqueue.JSON.Unmarshal(p.Data, &data)
	}
	return fmt.Sprint(p.Job, data, err)
}

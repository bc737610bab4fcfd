package sqlqueuetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// AssertPushed fails the test unless the job was pushed: one of the same name and the same data, and with the options that are given,
// such as OnQueue and Delay. What the options do not say may be anything. With OnQueue of several queues, it must be on each.
func (q *Queue) AssertPushed(job sqlqueue.Pushable, options ...sqlqueue.PushOption) {
	q.t.Helper()
	pushed := q.Pushed()
	for _, want := range q.wanted(job, options) {
		if !slices.ContainsFunc(pushed, want.matches) {
			q.t.Errorf("%v was not pushed; pushed were%s", want, list(pushed))
		}
	}
}

// AssertNotPushed fails the test if the job was pushed, in the sense of AssertPushed. For jobs of any data, look at PushedAs.
func (q *Queue) AssertNotPushed(job sqlqueue.Pushable, options ...sqlqueue.PushOption) {
	q.t.Helper()
	for _, want := range q.wanted(job, options) {
		for _, p := range q.Pushed() {
			if want.matches(p) {
				q.t.Errorf("%v was pushed, as job %d: %v", want, p.ID, p)
			}
		}
	}
}

// AssertCount fails the test unless n jobs were pushed, in all.
func (q *Queue) AssertCount(n int) {
	q.t.Helper()
	if pushed := q.Pushed(); len(pushed) != n {
		q.t.Errorf("%d jobs were pushed, want %d; pushed were%s", len(pushed), n, list(pushed))
	}
}

func list(pushed []Pushed) string {
	if len(pushed) == 0 {
		return " none"
	}
	var b strings.Builder
	for _, p := range pushed {
		fmt.Fprintf(&b, "\n\tjob %d: %v", p.ID, p)
	}
	return b.String()
}

// wanted is a job that is looked for.
type wanted struct {
	Pushed
	codec sqlqueue.Codec

	queue, priority, delay, at, unique bool // whether an option says so
}

// wanted returns what a push would make: one job for each queue.
func (q *Queue) wanted(job sqlqueue.Pushable, options []sqlqueue.PushOption) []wanted {
	q.t.Helper()
	// What an option says is the same in both, whatever the call's own options are.
	asked := sqlqueue.With(job, options...)
	one := q.wouldPush(asked, sqlqueue.OnQueue("one"), sqlqueue.Priority(1), sqlqueue.Delay(1), sqlqueue.Unique("one"))
	two := q.wouldPush(asked, sqlqueue.OnQueue("two"), sqlqueue.Priority(2), sqlqueue.Delay(2), sqlqueue.Unique("two"))
	var all []wanted
	for i, a := range one {
		b := two[i]
		w := wanted{
			codec: q.Config().Codec,
			queue: a.Queue == b.Queue, priority: a.Priority == b.Priority, delay: a.Delay == b.Delay && a.At.IsZero(),
			at: !a.At.IsZero(), unique: a.UniqueKey == b.UniqueKey,
		}
		w.Queue, w.Priority, w.Delay, w.AvailableAt, w.UniqueKey = a.Queue, a.Priority, a.Delay, a.At, a.UniqueKey
		w.Payload = q.parse(a.Payload)
		all = append(all, w)
	}
	return all
}

// wouldPush returns what a push writes, and writes nothing.
func (q *Queue) wouldPush(job sqlqueue.Pushable, options ...sqlqueue.PushOption) []driver.NewJob {
	q.t.Helper()
	config := q.Config()
	config.Sync, config.Runner, config.OnPush = false, nil, nil
	var dry dryStore
	to, err := sqlqueue.New(&dry, config)
	if err == nil {
		_, err = to.Push(q.ctx(), job, options...)
	}
	if err != nil {
		q.t.Fatalf("sqlqueuetest: what is looked for cannot be pushed: %v", err)
	}
	return dry.jobs
}

type dryStore struct {
	driver.Store
	jobs []driver.NewJob
}

func (s *dryStore) Push(_ context.Context, jobs []driver.NewJob) ([]driver.Pushed, error) {
	s.jobs = jobs
	return make([]driver.Pushed, len(jobs)), nil
}

// matches reports whether p is what is looked for.
func (w wanted) matches(p Pushed) bool {
	switch {
	case p.Job != w.Job, !reflect.DeepEqual(w.plain(p.Data), w.plain(w.Data)):
		return false
	case w.queue && p.Queue != w.Queue, w.priority && p.Priority != w.Priority, w.unique && p.UniqueKey != w.UniqueKey:
		return false
	case w.delay && p.Delay != w.Delay.Truncate(time.Microsecond), w.at && p.AvailableAt.UnixMicro() != w.AvailableAt.UnixMicro():
		return false
	}
	has := p.settings()
	for name, value := range w.settings() {
		if !bytes.Equal(has[name], value) {
			return false
		}
	}
	return true
}

// plain returns data in a form that can be compared: whatever the order of its fields, and what the Codec has made of it.
func (w wanted) plain(data json.RawMessage) any {
	var text json.RawMessage
	if err := w.codec.Unmarshal(data, &text); err != nil {
		text = data
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return string(text)
	}
	return value
}

// String shows what is looked for, without what may be anything.
func (w wanted) String() string {
	p := w.Pushed
	if !w.delay {
		p.Delay = 0
	}
	if !w.priority {
		p.Priority = 0
	}
	if !w.unique {
		p.UniqueKey = ""
	}
	if !w.queue {
		return p.describe("any queue")
	}
	return p.String()
}

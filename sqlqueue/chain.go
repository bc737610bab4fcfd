package sqlqueue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/jsonobject"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/rule"
)

const (
	// mostLevels is how deep jobs may stand in one another in "then" and "catch". MariaDB reads JSON of at most 32 levels, of which a job
	// takes two, and the data of the innermost needs some too.
	mostLevels = 10

	mostDepth  = 64        // levels of the JSON of a payload that has jobs in "then" or "catch"
	mostNext   = 256 << 10 // bytes of such a payload
	mostResult = 64 << 10  // bytes of a result
)

// Next is a job to push when another job has ended. It is stored in that job's payload, with its own payload, queue, delay and priority.
type Next struct {
	Payload
	Queue    string  `json:"queue,omitzero"`    // default: the queue of the job before
	Delay    Seconds `json:"delay,omitzero"`    // until it is available, from the end of the job before
	Priority int16   `json:"priority,omitzero"` // default 0

	// Steps, if there are any, replace the job: each of these jobs is pushed when the one before it is done.
	Steps []Next `json:"-"`
}

// JobName makes it a Pushable for what is pushed when something ends.
func (n Next) JobName() string { return n.Job }

// Parent says how the job that pushed this one has ended.
type Parent struct {
	ID     int64           `json:"id,omitzero"`     // of the job before
	Batch  int64           `json:"batch,omitzero"`  // of the batch, for its callbacks
	Result json.RawMessage `json:"result,omitzero"` // what its handler gave to SetResult, as the Codec wrote it
	Error  string          `json:"error,omitzero"`  // why it failed
}

// Then pushes jobs when this one is done: all of them, in the transaction that deletes its row. A job that fails, or is discarded,
// pushes none; when it is retried and done, it does. Each may have options of its own, by With: its queue (default: that of the job
// before), a Delay that counts from the end of the job before, a Priority, settings for the worker such as Tries, and Then and Catch; a
// time or a unique key is an error. Jobs may be nested ten levels deep; a Chain may be as long as fits into its payload, 256 KiB.
func Then(jobs ...Pushable) PushOption { return func(p *push) { p.then = append(p.then, jobs...) } }

// Catch pushes jobs when this one has failed for good, in the same transaction. They find the error in JobInfo.Parent. As for Then.
func Catch(jobs ...Pushable) PushOption { return func(p *push) { p.catch = append(p.catch, jobs...) } }

// Chain runs jobs one after the other: each is pushed when the one before it is done. If one fails, the chain stops until that one is
// retried. Chain(a, b, c) is a with Then(b), where b has Then(c), but is not limited to ten levels.
func Chain(first Pushable, then ...Pushable) Pushable { return With(first, Then(steps(then))) }

// ParseNext reads a job, such as {"job": "name", "data": {}, "queue": "mail", "delay": 60, "then": []}, or a list of jobs, in which a list
// stands for jobs one after the other. Then, Catch and callbacks of batches take them. The error says what is wrong.
func ParseNext(text []byte) ([]Next, error) {
	if err := checkDepth(text); err != nil {
		return nil, err
	}
	if trimmed := bytes.TrimSpace(text); !bytes.HasPrefix(trimmed, []byte("[")) {
		text = slices.Concat([]byte("["), trimmed, []byte("]"))
	}
	var jobs []Next
	if err := json.Unmarshal(text, &jobs); err != nil {
		return nil, err
	}
	return jobs, checkList(jobs, 1)
}

// steps is a list of jobs, one after the other, in the place of a job.
type steps []Pushable

// JobName is never asked: a list has no handler.
func (steps) JobName() string { return "" }

// next makes what stands in a payload of jobs that are to come.
func (q *Queue) next(jobs []Pushable, where string) ([]Next, error) {
	var next []Next
	for i, job := range jobs {
		list, ok := job.(steps)
		if !ok {
			one, err := q.nextOne(job)
			if err != nil {
				return nil, fmt.Errorf("job %d of %s: %w", i+1, where, err)
			}
			next = append(next, one)
			continue
		}
		inner, err := q.next(list, "Chain")
		if err != nil {
			return nil, err
		}
		if len(inner) > 0 {
			next = append(next, Next{Steps: inner})
		}
	}
	return next, nil
}

func (q *Queue) nextOne(job Pushable) (Next, error) {
	if next, ok := job.(Next); ok {
		return next, nil
	}
	p := &push{}
	if err := q.complete(p, job, nil); err != nil {
		return Next{}, err
	}
	next := Next{Payload: p.payload, Delay: Seconds(p.delay), Priority: int16(p.priority)}
	switch {
	case len(p.queues) > 1:
		return Next{}, fmt.Errorf("job %q: OnQueue names %d queues: name one, and give a job for each", next.Job, len(p.queues))
	case p.unique != nil:
		return Next{}, fmt.Errorf("job %q: a job that is pushed when another has ended cannot have a Unique key", next.Job)
	case !p.at.IsZero():
		return Next{}, fmt.Errorf("job %q: a job that is pushed when another has ended cannot have At: give it a Delay", next.Job)
	case p.sync:
		return Next{}, fmt.Errorf("job %q: a job that is pushed when another has ended cannot have Sync", next.Job)
	case len(p.queues) == 1:
		next.Queue = p.queues[0]
	}
	return next, nil
}

// MarshalJSON writes a job, or its Steps as a list.
func (n Next) MarshalJSON() ([]byte, error) {
	if n.Steps != nil {
		return jsonobject.Marshal(n.Steps)
	}
	type plain Next // without this method
	return jsonobject.Marshal(plain(n))
}

// nextMembers are the names in Next.
var nextMembers = append([]string{"queue", "delay", "priority"}, members...)

// UnmarshalJSON reads a job, or a list of jobs as Steps.
func (n *Next) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		return json.Unmarshal(text, &n.Steps)
	}
	known, err := known(jsonobject.Parse(text), nextMembers)
	if err != nil {
		return err
	}
	type plain Next
	if err := json.Unmarshal(known, (*plain)(n)); err != nil {
		return err
	}
	if n.Data == nil {
		n.Data = json.RawMessage("null")
	}
	return nil
}

// checkNext says what is wrong with the jobs in a payload's "then" and "catch".
func (p *Payload) checkNext(level int) error {
	for _, of := range []struct {
		name string
		jobs []Next
	}{{"then", p.Then}, {"catch", p.Catch}} {
		if err := checkList(of.jobs, level); err != nil {
			return fmt.Errorf("%s: %w", of.name, err)
		}
	}
	return nil
}

func checkList(jobs []Next, level int) error {
	if len(jobs) > 0 && level > mostLevels {
		return fmt.Errorf("jobs are nested more than %d levels deep: make a list of jobs that run one after the other", mostLevels)
	}
	for i := range jobs {
		if err := jobs[i].check(level); err != nil {
			return fmt.Errorf("job %d: %w", i+1, err)
		}
	}
	return nil
}

func (n *Next) check(level int) error {
	if n.Steps != nil {
		if slices.ContainsFunc(n.Steps, func(one Next) bool { return one.Steps != nil }) {
			return errors.New("a list of steps has a list in it: it must have jobs")
		}
		if len(n.Steps) == 0 {
			return errors.New("a list of steps is empty: it must have jobs")
		}
		return checkList(n.Steps, level)
	}
	if n.Queue != "" {
		if err := CheckQueueName(n.Queue); err != nil {
			return err
		}
	}
	if n.Delay < 0 || time.Duration(n.Delay) > rule.MaxDelay {
		return fmt.Errorf("delay is %v: it must be from 0 to a hundred years", time.Duration(n.Delay))
	}
	return n.checkAt(level + 1)
}

// NextJobs are the jobs to push when a job of the queue has ended as parent says: those of Catch if that has an Error, otherwise those
// of Then. A worker puts them into the settlement.
func (p *Payload) NextJobs(queue string, parent Parent) ([]driver.NewJob, error) {
	list := p.Then
	if parent.Error != "" {
		list = p.Catch
	}
	var jobs []driver.NewJob
	for _, next := range list {
		job, err := next.NewJob(queue, parent)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// NewJob is the job to push, on the queue if it names none.
func (n Next) NewJob(queue string, parent Parent) (driver.NewJob, error) {
	if len(n.Steps) > 0 {
		first := n.Steps[0]
		if rest := n.Steps[1:]; len(rest) > 0 {
			first.Then = append(slices.Clone(first.Then), Next{Steps: rest})
		}
		n = first
	}
	if n.Queue == "" {
		n.Queue = queue
	}
	n.Parent = &parent
	payload, err := n.encodeAny()
	if err != nil {
		return driver.NewJob{}, fmt.Errorf("job %q: %w", n.Job, err)
	}
	return driver.NewJob{Queue: n.Queue, Priority: n.Priority, Payload: payload, Delay: time.Duration(n.Delay)}, nil
}

// checkDepth says whether JSON has more levels than may stand in "then" and "catch": each costs a further reading of what is in it.
func checkDepth(text []byte) error {
	depth, quoted, escaped := 0, false, false
	for _, c := range text {
		switch {
		case escaped:
			escaped = false
		case quoted:
			quoted, escaped = c != '"', c == '\\'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if depth > mostDepth {
			return fmt.Errorf("a payload with jobs in \"then\" or \"catch\" has more than %d levels of JSON", mostDepth)
		}
	}
	return nil
}

// CheckResult says what is wrong with a result: it must be JSON in UTF-8, and may have 64 KiB.
func CheckResult(result json.RawMessage) error {
	if len(result) > mostResult {
		return fmt.Errorf("the result has %d bytes: it may have %d; store it elsewhere, and give its place", len(result), mostResult)
	}
	if !utf8.Valid(result) || !json.Valid(result) {
		return fmt.Errorf("the result is not JSON in UTF-8: %.100q", result)
	}
	return nil
}

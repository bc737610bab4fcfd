package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/internal/rule"
)

// Pushable is what can be pushed: a value whose JSON form is the job's data. Its name finds the handler: it is stored with the job,
// so it must not change while jobs wait. A function cannot be stored; give the job a name, and the worker a handler of that name.
type Pushable interface {
	JobName() string
}

// Named returns a job of the given name and data, for names that are not known at compile time. Data is any value that the Codec
// takes, also nil or a scalar.
func Named(name string, data any) Pushable { return named{name, data} }

type named struct {
	name string
	data any
}

func (n named) JobName() string { return n.name }

// With gives a job options of its own, which come after (and so beat) those of the call that pushes it.
func With(job Pushable, options ...PushOption) Pushable { return with{job, options} }

type with struct {
	Pushable
	options []PushOption
}

// PushOption is a setting of one push.
type PushOption func(*push)

// push is a job with its settings, before it becomes rows.
type push struct {
	payload  Payload
	queues   []string
	priority int
	delay    time.Duration
	at       time.Time
	noTime   bool // At was given the zero time
	unique   *string
	uniquely uniquely
	sync     bool

	then, catch []Pushable // jobs that are pushed when this one has ended
}

// OnQueue names the queue, or several: the job is then pushed to each, in one transaction, and each has its own id. Default: the
// Config's queue.
func OnQueue(queues ...string) PushOption { return func(p *push) { p.queues = queues } }

// Delay makes the job available after d. Zero or negative: now. It replaces an earlier At.
func Delay(d time.Duration) PushOption {
	return func(p *push) { p.delay, p.at, p.noTime = max(d, 0), time.Time{}, false }
}

// At makes the job available at t, to the microsecond. A time that has passed: now, before jobs that became available later. The zero time
// is an error: most likely somebody forgot to set it. It replaces an earlier Delay.
func At(t time.Time) PushOption { return func(p *push) { p.at, p.delay, p.noTime = t, 0, t.IsZero() } }

// Priority is -32768 to 32767: smaller runs first. Default 0.
func Priority(n int) PushOption { return func(p *push) { p.priority = n } }

// Tries is how often the handler runs at most; 0: no limit. Default: the worker's.
func Tries(n int) PushOption { return func(p *push) { p.payload.Tries = &n } }

// Timeout is how long the handler may run; 0: no limit. Default: the worker's.
func Timeout(d time.Duration) PushOption {
	return func(p *push) { p.payload.Timeout = (*Seconds)(&d) }
}

// BackoffList is how long to wait after the first, second, … error; the last repeats. Without any wait it is an error: BackoffList(0) is to
// try again at once. Default: the worker's.
func BackoffList(waits ...time.Duration) PushOption {
	return func(p *push) { p.payload.Backoff = append(Backoff{}, waits...) }
}

// MaxExceptions is after how many errors the job fails, however many tries it has left: unlike Tries it does not count the times when
// the handler released the job, or its worker died. Default, and 0: no limit.
func MaxExceptions(n int) PushOption { return func(p *push) { p.payload.MaxExceptions = n } }

// Keep is how long the job is kept when it is done, with its result, for Queue.Wait and operators; 0: not at all. Default: as an operator
// has said of its queue, otherwise not at all.
func Keep(d time.Duration) PushOption { return func(p *push) { p.payload.Keep = (*Seconds)(&d) } }

// RetryUntil is when the job fails instead of running again. Default, and the zero time: never.
func RetryUntil(t time.Time) PushOption { return func(p *push) { p.payload.RetryUntil = t } }

// Sync runs the job's handler at once, in this goroutine, instead of storing the job: see Config.Sync.
func Sync() PushOption { return func(p *push) { p.sync = true } }

// Push stores a job and returns its id. It is available now, has no attempts and is not reserved. On several queues, the id is that
// on the first; PushMany returns all. In sync mode nothing is stored, the id is 0 and the error is the handler's.
//
// Pushes of several goroutines at once may share a statement; each returns when its job is committed. If ctx ends while a statement is
// shared, the others' jobs are stored all the same, and the error is ErrOutcomeUnknown.
//
// With a Unique key that another job holds, Push returns that job's id and a *DuplicateError.
func (q *Queue) Push(ctx context.Context, job Pushable, options ...PushOption) (int64, error) {
	ids, err := q.PushMany(ctx, []Pushable{job}, options...)
	if len(ids) == 0 {
		return 0, err
	}
	return ids[0], err
}

// Later is Push with a Delay.
func (q *Queue) Later(ctx context.Context, delay time.Duration, job Pushable, options ...PushOption) (int64, error) {
	return q.Push(ctx, With(job, Delay(delay)), options...)
}

// PushMany stores any number of jobs in one statement, all or none, and returns their ids in order; of a job on several queues, one
// id for each queue. Options hold for all jobs; With gives one job its own.
//
// Unlike every other error, a *DuplicateError does not mean that nothing was stored: it names the jobs that were left out, in whose
// places the ids of the keys' holders stand.
func (q *Queue) PushMany(ctx context.Context, jobs []Pushable, options ...PushOption) ([]int64, error) {
	rows, pushed, err := q.pushRows(ctx, jobs, options)
	if pushed == nil {
		return nil, err
	}
	return idsOf(rows, pushed)
}

// idsOf are the ids of what was pushed, and the error of what was not.
func idsOf(rows []driver.NewJob, pushed []driver.Pushed) ([]int64, error) {
	ids := make([]int64, len(pushed))
	var duplicates []Duplicate
	for i, p := range pushed {
		ids[i] = p.ID
		if p.Duplicate {
			duplicates = append(duplicates, Duplicate{Queue: rows[i].Queue, Key: rows[i].UniqueKey, Holder: p.ID})
		}
	}
	if duplicates != nil {
		return ids, wrap("push", &DuplicateError{Duplicates: duplicates})
	}
	return ids, nil
}

// pushRows stores jobs, and returns their rows and what became of each. In sync mode nothing is stored, and both are nil.
func (q *Queue) pushRows(ctx context.Context, jobs []Pushable, options []PushOption) ([]driver.NewJob, []Pushed, error) {
	store, err := q.open(ctx)
	if err != nil {
		return nil, nil, wrap("push", err)
	}
	rows := make([]driver.NewJob, 0, len(jobs))
	var inline []Job
	var p push
	for i, job := range jobs {
		before := len(rows)
		if rows, err = q.prepare(&p, rows, job, options); err != nil {
			if len(jobs) > 1 {
				err = fmt.Errorf("job %d of %d: %w", i+1, len(jobs), err)
			}
			return nil, nil, wrap("push", err)
		}
		if !p.sync {
			continue
		}
		for _, row := range rows[before:] {
			inline = append(inline, Job{Queue: row.Queue, Priority: row.Priority, Payload: row.Payload, Attempts: 1})
		}
		rows = rows[:before]
	}
	if len(inline) > 0 {
		if len(rows) > 0 {
			return nil, nil, wrap("push", errors.New("some jobs are to run in sync mode and others to be stored: push them in two calls"))
		}
		return nil, nil, q.runInline(ctx, inline)
	}
	if len(rows) == 0 {
		return nil, nil, nil
	}

	if err := q.encryptRows(rows); err != nil {
		return nil, nil, wrap("push", err)
	}
	push := store.Push
	if q.gatherer != nil && gathers(rows) {
		push = q.gatherer.push
	}
	ctx, ended := q.announce(ctx, rows)
	pushed, err := push(ctx, rows)
	ended(pushed, err)
	if err != nil {
		return nil, nil, wrap("push", err)
	}
	q.pushes.ring(rows)
	return rows, pushed, nil
}

func (q *Queue) runInline(ctx context.Context, jobs []Job) error {
	for _, job := range jobs {
		if err := q.config.Runner.RunJob(ctx, q, job); err != nil {
			return err
		}
	}
	return nil
}

// prepare adds the rows of a job to those of others. What p holds of the job before is overwritten.
func (q *Queue) prepare(p *push, rows []driver.NewJob, job Pushable, options []PushOption) ([]driver.NewJob, error) {
	*p = push{queues: q.queues, sync: q.config.Sync}
	switch err := q.complete(p, job, options); {
	case err != nil:
		return rows, err
	case len(p.queues) == 0:
		return rows, errors.New("OnQueue has no queue")
	case p.sync && q.config.Runner == nil:
		return rows, errors.New("sync mode needs handlers: set Config.Runner")
	case p.sync && (p.delay > 0 || !p.at.IsZero()):
		return rows, errors.New("a job in sync mode cannot be delayed: it runs at once or not at all")
	}
	return p.addRows(rows, q.config.Codec == JSON)
}

// complete applies the options to p and checks what holds of every job, also of one that is to come.
func (q *Queue) complete(p *push, job Pushable, options []PushOption) error {
	var own []PushOption
	for {
		w, ok := job.(with)
		if !ok {
			break
		}
		own = append(append([]PushOption{}, w.options...), own...)
		job = w.Pushable
	}
	if job == nil {
		return errors.New("the job is nil")
	}
	switch job.(type) {
	case Next, steps:
		return errors.New("a Next is for Then, Catch and the callbacks of a batch, without options: push a job with Named")
	}
	if v := reflect.ValueOf(job); v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("the job is a nil %T", job)
	}
	for _, option := range append(append([]PushOption{}, options...), own...) {
		if option == nil {
			return errors.New("an option of the push is nil: leave it out")
		}
		option(p)
	}

	var data any = job
	if n, ok := job.(named); ok {
		data = n.data
	}
	p.payload.Job = job.JobName()
	if p.payload.Job == "" {
		return fmt.Errorf("the job of type %T has an empty name", job)
	}
	var err error
	if p.payload.Data, err = q.config.Codec.Marshal(data); err != nil {
		return fmt.Errorf("data of job %q: %w", p.payload.Job, err)
	}
	if err := p.uniquely.key(p, q.config.Cipher); err != nil {
		return err
	}
	for _, queue := range p.queues {
		if queue == "*" {
			return fmt.Errorf("queue %q means all queues: push to one of them", queue)
		}
		if driver.IsPattern(queue) {
			return fmt.Errorf("queue %q means all queues below %s: push to one of them, such as %q",
				queue, driver.Level(queue), driver.Level(queue)+"1")
		}
		if err := CheckQueueName(queue); err != nil {
			return err
		}
	}
	switch {
	case p.priority != int(int16(p.priority)):
		return fmt.Errorf("priority is %d: it must be from -32768 to 32767", p.priority)
	case p.noTime:
		return errors.New("At has the zero time: give the time when the job is to be available, or leave it out for now")
	case p.payload.Backoff != nil && len(p.payload.Backoff) == 0:
		return errors.New("BackoffList names no wait: give at least one, 0 to try again at once")
	case p.delay > rule.MaxDelay:
		return fmt.Errorf("delay is %v: it must be at most a hundred years", p.delay)
	}
	if !p.at.IsZero() {
		if err := rule.Time(p.at); err != nil {
			return err
		}
	}
	if p.unique != nil {
		if err := checkUniqueKey(*p.unique); err != nil {
			return err
		}
	}
	if err := p.uniquely.check(p); err != nil {
		return err
	}
	if p.payload.Then, err = q.next(p.then, "Then"); err != nil {
		return err
	}
	p.payload.Catch, err = q.next(p.catch, "Catch")
	return err
}

// addRows adds what is stored of the job to the rows of others; dense: its data is JSON without space.
func (p *push) addRows(rows []driver.NewJob, dense bool) ([]driver.NewJob, error) {
	var payload []byte
	if dense {
		payload, dense = p.payload.encodePlain()
	}
	if !dense {
		var err error
		if payload, err = p.payload.encode(); err != nil {
			return rows, fmt.Errorf("job %q: %w", p.payload.Job, err)
		}
	}
	for _, queue := range p.queues {
		row := driver.NewJob{Queue: queue, Priority: int16(p.priority), Payload: payload, Delay: p.delay, At: p.at}
		if p.unique != nil {
			p.uniquely.set(&row, *p.unique)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// CheckQueueName says what is wrong with a queue's name: it must have 1 to 191 characters, no comma, no control characters, and no
// space at either end.
func CheckQueueName(name string) error {
	const says = "a queue's name has 1 to 191 characters, no comma and no space at either end"
	return rule.Name("queue", name, says)
}

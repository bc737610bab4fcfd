package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Handler runs a job. What it returns decides what becomes of the job: see the package. It is called from several goroutines at once.
type Handler func(ctx context.Context, job *Job[json.RawMessage]) error

// FailedFunc is called when a job has failed for good, before the job moves to the failed jobs; err is the reason. Its return value
// decides: nil moves the job there, Discard() deletes it, and Keep() leaves it alone. Any other error, and a panic, is logged and
// counts as nil.
type FailedFunc func(ctx context.Context, job *Job[json.RawMessage], err error) error

// Mux finds the handler of a job by the job's name, which must match exactly. Worker.Run reports wrong registrations (two handlers of
// one name, an empty name). A Mux is safe for concurrent use.
//
// It is a sqlqueue.Runner, for sync mode.
type Mux struct {
	mu         sync.Mutex
	named      map[string]*entry
	rest       *entry // for names without a handler, or nil
	middleware []func(Handler) Handler
	wrong      []error
}

// Settings are a handler's own. A field that is zero is not set: the worker's Config holds. A job's own settings beat both. In
// sync mode they do not count.
type Settings struct {
	Tries   int           // how often a job runs at most; -1: no limit
	Timeout time.Duration // how long the handler may run; -1: no limit
	Backoff Backoff       // how long a job waits after an error
}

// entry is a handler with what belongs to it. The zero value is none.
type entry struct {
	plain    Handler
	handle   Handler    // plain inside the middleware; nil until it is needed
	failed   FailedFunc // the data's own method Failed, or nil
	settings Settings

	most int           // of HandleMany; 0: the handler gets one job
	wait time.Duration // of HandleMany
}

// NewMux returns a Mux without handlers.
func NewMux() *Mux { return &Mux{named: map[string]*entry{}} }

// named jobs have a method JobName, on T or on *T, that answers the same for every value.
type named[T any] interface {
	*T
	sqlqueue.Pushable
}

// Handle registers the handler of the jobs that are pushed as a T. Data that does not fit a T moves the job to the failed jobs at once.
//
// If T or *T has a method Failed(context.Context, error) error, it is called when a job has failed for good: see Config.OnFailed.
//
// Here and below, of several settings the last one that has a field counts for it.
func Handle[T any, P named[T]](m *Mux, handler func(ctx context.Context, job *Job[T]) error, settings ...Settings) {
	e := &entry{failed: failedOf[T](), settings: merge(settings)}
	if handler != nil {
		e.plain = func(ctx context.Context, job *Job[json.RawMessage]) error {
			typed, err := decode[T](job)
			if err != nil {
				return Fail(err)
			}
			return handler(ctx, typed)
		}
	}
	m.add(P(new(T)).JobName(), e)
}

// HandleSelf registers jobs that carry their own handler: worker.HandleSelf[SendInvoice](mux). Handle finds the job it is called for by
// InfoFrom.
func HandleSelf[T any, P interface {
	named[T]
	Handle(ctx context.Context) error
}](m *Mux, settings ...Settings) {
	Handle[T, P](m, func(ctx context.Context, job *Job[T]) error {
		return P(&job.Data).Handle(withInfo(ctx, job.JobInfo))
	}, settings...)
}

// HandleFunc registers a handler by name, for data of any kind: it stands as JSON in Job.Data.
func (m *Mux) HandleFunc(name string, handler Handler, settings ...Settings) {
	m.add(name, &entry{plain: handler, settings: merge(settings)})
}

// HandleAll registers a handler for all names that have none of their own. Without one, a job of an unknown name is put back for a
// minute, its attempt not spent.
func (m *Mux) HandleAll(handler Handler, settings ...Settings) {
	e := &entry{plain: handler, settings: merge(settings)}
	m.mu.Lock()
	defer m.mu.Unlock()
	wrong := e.settings.check()
	switch {
	case handler == nil:
		m.wrong = append(m.wrong, errors.New("the handler for all names is nil"))
	case m.rest != nil:
		m.wrong = append(m.wrong, errors.New("there are two handlers for all names"))
	case wrong != nil:
		m.wrong = append(m.wrong, fmt.Errorf("the handler for all names: %w", wrong))
	default:
		m.rest = e
	}
}

// Use puts middleware around every handler, the first outermost: what it does before and after it calls the next handler happens
// before and after each job. It may look at, change or replace the job, the context and the error. It sees a returned error, not a
// panic. Each is called once for each handler.
func (m *Mux) Use(middleware ...func(Handler) Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, around := range middleware {
		if around == nil {
			m.wrong = append(m.wrong, errors.New("a middleware is nil"))
			return
		}
	}
	m.middleware = append(m.middleware, middleware...)
	for _, e := range m.named {
		e.handle = nil
	}
	if m.rest != nil {
		m.rest.handle = nil
	}
}

func (m *Mux) add(name string, e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	wrong := e.settings.check()
	switch {
	case name == "":
		m.wrong = append(m.wrong, errors.New("a handler's name is empty"))
	case e.plain == nil:
		m.wrong = append(m.wrong, fmt.Errorf("the handler of %q is nil", name))
	case m.named[name] != nil:
		m.wrong = append(m.wrong, fmt.Errorf("%q has two handlers", name))
	case wrong != nil:
		m.wrong = append(m.wrong, fmt.Errorf("the handler of %q: %w", name, wrong))
	default:
		m.named[name] = e
	}
}

// refuse has Worker.Run report a wrong registration.
func (m *Mux) refuse(wrong error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrong = append(m.wrong, wrong)
}

// merge returns the last of each field that is set.
func merge(settings []Settings) (all Settings) {
	for _, s := range settings {
		all.Tries, all.Timeout = cmp.Or(s.Tries, all.Tries), cmp.Or(s.Timeout, all.Timeout)
		if s.Backoff != nil {
			all.Backoff = s.Backoff
		}
	}
	return all
}

func (s Settings) check() error {
	switch {
	case s.Tries < -1:
		return fmt.Errorf("tries is %d: it must be at least 1, or -1 for no limit", s.Tries)
	case s.Timeout < -1:
		return fmt.Errorf("timeout is %v: it must be more than 0, or -1 for no limit", s.Timeout)
	}
	return nil
}

// check says what is wrong with the registrations. Middleware is called here for the first time, so that what goes wrong there does so
// before a job is reserved.
func (m *Mux) check() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.wrong != nil:
		return errors.Join(m.wrong...)
	case len(m.named) == 0 && m.rest == nil:
		return errors.New("the mux has no handlers")
	}
	for name, e := range m.named {
		if err := m.wrap(e); err != nil {
			return fmt.Errorf("the handler of %q: %w", name, err)
		}
	}
	if m.rest != nil {
		if err := m.wrap(m.rest); err != nil {
			return fmt.Errorf("the handler for all names: %w", err)
		}
	}
	return nil
}

// find returns the handler of a name, inside the middleware, with what belongs to it; zero if there is none.
func (m *Mux) find(name string) entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.named[name]
	if e == nil {
		e = m.rest
	}
	if e == nil {
		return entry{}
	}
	found := *e
	if err := m.wrap(e); err != nil { // it was registered while the worker runs
		found.handle = func(context.Context, *Job[json.RawMessage]) error { return err }
		return found
	}
	return *e
}

// wrap puts a handler into the middleware.
func (m *Mux) wrap(e *entry) error {
	if e.handle != nil {
		return nil
	}
	made := begin(func() (Handler, error) {
		handle := e.plain
		for i, around := range slices.Backward(m.middleware) {
			if handle = around(handle); handle == nil {
				return nil, fmt.Errorf("middleware %d of %d has made a nil handler of it", i+1, len(m.middleware))
			}
		}
		return handle, nil
	})
	<-made.done
	e.handle = made.value
	if made.err != nil {
		return fmt.Errorf("middleware: %s", textOf(made.err))
	}
	return nil
}

// decode gives a job its data as a T.
func decode[T any](job *Job[json.RawMessage]) (*Job[T], error) {
	typed := &Job[T]{JobInfo: job.JobInfo}
	if sqlqueue.IsEncrypted(job.Data) {
		return nil, fmt.Errorf("data of job %q: it is encrypted", job.Name)
	}
	if err := job.with().codec.Unmarshal(job.Data, &typed.Data); err != nil {
		return nil, fmt.Errorf("data of job %q: %w", job.Name, err)
	}
	return typed, nil
}

// failedOf returns a caller of T's own method Failed, or nil if it has none.
func failedOf[T any]() FailedFunc {
	if _, ok := any(new(T)).(failer); !ok {
		return nil
	}
	return func(ctx context.Context, job *Job[json.RawMessage], reason error) error {
		typed, err := decode[T](job)
		if err != nil {
			return nil // the data is why the job has failed: there is nobody to tell
		}
		return any(&typed.Data).(failer).Failed(withInfo(ctx, job.JobInfo), reason)
	}
}

type failer interface {
	Failed(ctx context.Context, err error) error
}

package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// RemoteCall takes a request to a process that answers it by Mux.RunPacked, and returns the answer. Its error is taken for the
// handler's.
type RemoteCall func(ctx context.Context, job JobInfo, request []byte) (answer []byte, err error)

// Remote returns a Mux whose handlers, and whose jobs' own methods Failed, run in another process, by call. That process also has the
// middleware. From m come the handlers' Settings, as they are now, and what is wrong with its registrations.
//
// What a handler there returns comes back with its text, and as what it says becomes of the job. Errors of this package and of package
// context are still found in it by errors.Is and errors.As, others are not; the value of a panic has become its text.
func (m *Mux) Remote(call RemoteCall) *Mux {
	remote := NewMux()
	if err := m.check(); err != nil {
		remote.wrong = []error{err}
	}
	ask := func(settings Settings) *entry {
		return &entry{
			plain: func(ctx context.Context, job *Job[json.RawMessage]) error {
				return askRemote(ctx, call, job, nil)
			},
			failed: func(ctx context.Context, job *Job[json.RawMessage], err error) error {
				return askRemote(ctx, call, job, packError(err))
			},
			settings: settings,
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, e := range m.named {
		remote.named[name] = ask(e.settings)
	}
	remote.rest = ask(Settings{}) // what it does not know, that process may
	if m.rest != nil {
		remote.rest.settings = m.rest.settings
	}
	return remote
}

func askRemote(ctx context.Context, call RemoteCall, job *Job[json.RawMessage], failure *packedError) error {
	with := job.with()
	request := packedJob{JobInfo: job.JobInfo, Payload: job.Payload, By: with.by, Keep: with.keep, Failure: failure}
	request.JobInfo.Payload = nil // once is enough
	if deadline, ok := ctx.Deadline(); ok {
		request.Deadline = &deadline
	}
	text, err := json.Marshal(request)
	if err != nil { // a year that has five digits
		return fmt.Errorf("worker: %w", err)
	}
	if text, err = call(ctx, job.JobInfo, text); err != nil {
		return err
	}
	var answer packedAnswer
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("worker: an answer that is not of Mux.RunPacked: %w", err)
	}
	if answer.Completed {
		job.Completed()
	}
	if answer.Result != nil {
		with.result.Store(&answer.Result)
	}
	return answer.Error.unpack()
}

// RunPacked answers a request of Remote: it runs a job's handler, or tells of the job's failure, first the data's own method
// Failed and then onFailed, which may be nil. The codec reads the job's data; nil is sqlqueue.JSON. It waits for the handler
// and never panics. If the text of the cause of ctx's end contains that of one that this package has, the handler finds that
// one.
func (m *Mux) RunPacked(ctx context.Context, request []byte, codec sqlqueue.Codec, onFailed FailedFunc) []byte {
	if codec == nil {
		codec = sqlqueue.JSON
	}
	with := &shared{origin: &origin{codec: codec}}
	err := apart(func() error {
		var p packedJob
		if err := json.Unmarshal(request, &p); err != nil {
			return fmt.Errorf("worker: a request that is not of Mux.Remote: %w", err)
		}
		if err := m.check(); err != nil { // a new program at the old one's place: its own check comes when it is started as a worker
			return &outcome{kind: unknown, delay: unknownDelay, err: fmt.Errorf("worker: %w", err)}
		}
		payload, err := sqlqueue.ParsePayload(p.Payload)
		if err != nil {
			return Fail(err)
		}
		job := &Job[json.RawMessage]{Data: payload.Data, JobInfo: p.JobInfo}
		job.Payload, job.shared = p.Payload, with
		with.by, with.keep = p.By, p.Keep
		ctx, end := p.context(ctx)
		defer end()

		e := m.find(job.Name)
		switch {
		case p.Failure != nil:
			return tellPacked(ctx, job, p.Failure.unpack(), e.failed, onFailed)
		case e.handle == nil:
			return &outcome{kind: unknown, delay: unknownDelay, err: ErrNoHandler}
		}
		return e.handle(ctx, job)
	})
	var packed *packedError
	if broken := apart(func() error { packed = packError(err); return nil }); broken != nil { // by a method of the handler's error
		packed = packError(broken)
	}
	answer := packedAnswer{Error: packed, Completed: with.completed.Load()}
	if text := with.result.Load(); text != nil && json.Valid(*text) {
		answer.Result = *text
	}
	packedAnswer, _ := json.Marshal(answer) // texts, numbers and JSON: it cannot fail
	return packedAnswer
}

// tellPacked asks the callbacks, in order, until one says what is to become of the job, and returns that, or else what went wrong.
func tellPacked(ctx context.Context, job *Job[json.RawMessage], reason error, callbacks ...FailedFunc) error {
	var wrong error
	for _, callback := range callbacks {
		if callback == nil {
			continue
		}
		var said *outcome
		err := apart(func() error {
			err := callback(ctx, job, reason)
			said = outcomeOf(err)
			return err
		})
		if said != nil && (said.kind == discarded || said.kind == kept) {
			return said
		}
		wrong = errors.Join(wrong, err)
	}
	return wrong
}

// packedJob is a request.
type packedJob struct {
	JobInfo  JobInfo      `json:"job"`     // but for the Payload
	Payload  []byte       `json:"payload"` // to the byte
	By       string       `json:"by"`
	Deadline *time.Time   `json:"deadline,omitempty"` // of the context
	Keep     *driver.Keep `json:"keep,omitempty"`     // for Delete
	Failure  *packedError `json:"failure,omitempty"`  // why the job has failed: tell of it, run nothing
}

// packedAnswer is the answer.
type packedAnswer struct {
	Error     *packedError `json:"error,omitempty"`
	Completed bool         `json:"completed,omitempty"`

	Result json.RawMessage `json:"result,omitempty"` // of SetResult
}

// packedError is an error, as far as it matters elsewhere.
type packedError struct {
	Text    string         `json:"text"`
	Outcome *packedOutcome `json:"outcome,omitempty"`
	Panic   *packedPanic   `json:"panic,omitempty"`
	Is      []string       `json:"is,omitempty"` // texts of those of sentinels that it is
}

type packedOutcome struct {
	Kind  string        `json:"kind"` // a kind's text, which the other program may not know
	Delay time.Duration `json:"delay,omitempty"`
}

type packedPanic struct {
	Value *string `json:"value,omitempty"` // nil: runtime.Goexit
	Stack string  `json:"stack"`
}

// sentinels are errors that keep their identity.
var sentinels = []error{
	ErrTimedOut, ErrStopped, sqlqueue.ErrReservationLost, ErrNoHandler, context.DeadlineExceeded, context.Canceled,
}

func packError(err error) *packedError {
	if err == nil {
		return nil
	}
	p := &packedError{Text: textOf(err)}
	if said := outcomeOf(err); said != nil {
		p.Outcome = &packedOutcome{said.kind.String(), said.delay}
	}
	var panicked *PanicError
	if errors.As(err, &panicked) && panicked != nil {
		p.Panic = &packedPanic{Stack: clean(panicked.Stack, maxStack)}
		if panicked.Value != nil {
			value := clean(fmt.Sprint(panicked.Value), maxError)
			p.Panic.Value = &value
		}
	}
	for _, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			p.Is = append(p.Is, sentinel.Error())
		}
	}
	return p
}

func (p *packedError) unpack() error {
	if p == nil {
		return nil
	}
	err := &remoteError{text: p.Text}
	for k := processed; p.Outcome != nil && k < kinds; k++ {
		if said := (&outcome{kind: k, delay: p.Outcome.Delay}); said.valid() && k.String() == p.Outcome.Kind {
			err.is = append(err.is, said)
		}
	}
	if p.Panic != nil {
		panicked := &PanicError{Stack: p.Panic.Stack}
		if p.Panic.Value != nil {
			panicked.Value = *p.Panic.Value
		}
		err.is = append(err.is, panicked)
	}
	for _, sentinel := range sentinels {
		if slices.Contains(p.Is, sentinel.Error()) {
			err.is = append(err.is, sentinel)
		}
	}
	return err
}

// remoteError is an error of another process.
type remoteError struct {
	text string
	is   []error
}

func (e *remoteError) Error() string   { return e.text }
func (e *remoteError) Unwrap() []error { return e.is }

// context returns the handler's context: ctx with the request's deadline, which the other process keeps, and with causes that are
// recognized.
func (p *packedJob) context(ctx context.Context) (_ context.Context, end func()) {
	known, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		cause := &remoteError{text: context.Cause(ctx).Error()}
		for _, sentinel := range sentinels {
			if strings.Contains(cause.text, sentinel.Error()) {
				cause.is = append(cause.is, sentinel)
			}
		}
		cancel(cause)
	})
	return deadlineContext{known, p.Deadline}, func() { stop(); cancel(nil) }
}

// deadlineContext knows a deadline that somebody else keeps.
type deadlineContext struct {
	context.Context            //nolint:containedctx // it is one
	deadline        *time.Time // or nil
}

func (c deadlineContext) Deadline() (time.Time, bool) {
	if c.deadline == nil {
		return time.Time{}, false
	}
	return *c.deadline, true
}

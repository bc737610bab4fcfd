package sqlqueue

import (
	"bytes"
	"context"
	"encoding/json"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// Trace is a W3C traceparent, 55 characters; empty: there is none.
type Trace string

const (
	exampleTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

	plainTrace = `,"trace":"` // in a plain payload, after the data
)

// valid reports whether it is a traceparent of version 00 with ids that are not zero.
func (t Trace) valid() bool {
	if len(t) != len(exampleTrace) || t[:3] != "00-" {
		return false
	}
	trace, span := false, false
	for i := 3; i < len(t); i++ {
		c := t[i]
		switch {
		case i == 35 || i == 52:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		case c != '0':
			trace, span = trace || i < 35, span || i > 35 && i < 52
		}
	}
	return trace && span
}

// UnmarshalJSON reads a traceparent. Anything else is none, since others may call something else so: no job fails for it.
func (t *Trace) UnmarshalJSON(text []byte) error {
	var said string
	if *t = ""; json.Unmarshal(text, &said) == nil && Trace(said).valid() {
		*t = Trace(said)
	}
	return nil
}

// cutTrace takes the trace and the last brace off the end of a plain payload. Without a trace it returns what it got.
func cutTrace(payload []byte) ([]byte, Trace) {
	start := len(payload) - len(plainTrace) - len(exampleTrace) - len(`"}`)
	if start < 0 || !bytes.HasPrefix(payload[start:], []byte(plainTrace)) || !bytes.HasSuffix(payload, []byte(`"}`)) {
		return payload, ""
	}
	trace := Trace(payload[start+len(plainTrace) : len(payload)-len(`"}`)])
	if !trace.valid() {
		return payload, ""
	}
	return payload[:start], trace
}

// with returns a payload that has no trace with this one.
func (t Trace) with(payload []byte) []byte {
	traced := make([]byte, 0, len(payload)+len(plainTrace)+len(t)+len(`"`))
	traced = append(traced, payload[:len(payload)-1]...)
	return append(append(append(traced, plainTrace...), t...), `"}`...)
}

// PushHook is called before the jobs of a push are stored, with one entry for each job and queue. It may set their Traces; one that is
// no traceparent is left out. The push goes on with the context that it returns, and tells the function, which may be nil, how it
// ended: what became of each entry, or the error. A push in a transaction ends before the transaction does.
//
// It is called by the goroutines of the callers, several at once, and must not block.
type PushHook func(ctx context.Context, jobs []Pushing) (context.Context, func(pushed []Pushed, err error))

// Pushing is a job that is about to be stored.
type Pushing struct {
	Queue string
	Name  string // empty if the payload is not valid
	Trace Trace
}

// PushHooks returns a hook that calls several, in order. Nil ones are left out.
func PushHooks(hooks ...PushHook) PushHook {
	return func(ctx context.Context, jobs []Pushing) (context.Context, func([]Pushed, error)) {
		var all []func([]Pushed, error)
		for _, hook := range hooks {
			if hook == nil {
				continue
			}
			var ended func([]Pushed, error)
			if ctx, ended = hook(ctx, jobs); ended != nil {
				all = append(all, ended)
			}
		}
		return ctx, func(pushed []Pushed, err error) {
			for _, ended := range all {
				ended(pushed, err)
			}
		}
	}
}

// announce tells the hook of the rows that are about to be stored, and gives them their traces.
func (q *Queue) announce(ctx context.Context, rows []driver.NewJob) (context.Context, func([]Pushed, error)) {
	if q.config.OnPush == nil {
		return ctx, func([]Pushed, error) {}
	}
	jobs := make([]Pushing, len(rows))
	for i, row := range rows {
		payload, _ := ParsePayload(row.Payload)
		jobs[i] = Pushing{Queue: row.Queue, Name: payload.Job}
	}
	told, ended := q.config.OnPush(ctx, jobs)
	if told == nil {
		told = ctx
	}
	for i := range rows {
		if trace := jobs[i].Trace; trace.valid() {
			rows[i].Payload = trace.with(rows[i].Payload)
		}
	}
	if ended == nil {
		ended = func([]Pushed, error) {}
	}
	return told, ended
}

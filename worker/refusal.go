package worker

import "math"

// An exchange is one transaction: a single outcome that the database refuses to write would stand in the way of all others, and of the
// heartbeat, for ever. So after a failure half as many are sent; when a single one has failed, none; and when that goes well, twice as
// many again. What fails alone time after time is found so.

const (
	unlimited = math.MaxInt

	// refusals is how often an outcome must have failed alone, while the exchange after it went well, until it is taken for refused.
	refusals = 3
)

// refusal narrows down what the database refuses.
type refusal struct {
	most    int   // outcomes that one exchange may write
	sending int   // outcomes that the exchange under way writes: the first ones
	suspect *run  // the outcome that failed alone; nil: none
	reason  error // why it failed last
}

// searching reports whether there are fewer to try: what is refused is still being narrowed down.
func (f *refusal) searching() bool { return f.sending > 0 }

// next returns the outcomes that the next exchange is to write.
func (f *refusal) next(unsettled []*run) []*run {
	f.sending = min(len(unsettled), f.most)
	return unsettled[:f.sending]
}

// failed notes that the exchange has failed.
func (f *refusal) failed(unsettled []*run, err error) {
	if f.sending == 1 {
		f.suspect, f.reason = unsettled[0], err
	}
	if f.sending > 0 {
		f.most = f.sending / 2
	}
}

// succeeded notes that the exchange has gone well, and returns an outcome that the database refuses, or nil.
func (f *refusal) succeeded() *run {
	suspect := f.suspect
	f.suspect = nil
	switch {
	case f.most == unlimited:
	case f.most == 0:
		f.most = 1
	case f.sending < f.most:
		f.most = unlimited
	default:
		f.most *= 2
	}
	if suspect == nil || f.sending > 0 {
		return nil
	}
	suspect.refused++
	if suspect.refused < refusals {
		return nil
	}
	suspect.refused = 0
	return suspect
}

// refuse deals with an outcome that the database refuses to write: it tries with texts that cannot be the reason, then lets go.
func (l *loop) refuse(r *run) {
	l.log.refused(r, l.refusal.reason)
	if r.verdict.kind == failed && r.verdict.text != refusedText {
		r.verdict.text, r.verdict.stack = refusedText, ""
		return
	}
	l.forget(r)
}

const refusedText = "the database refused to store the error: see the worker's log"

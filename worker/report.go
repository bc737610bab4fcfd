package worker

import "time"

// reporter tells how runs of jobs ended: in the log, in the counts, among the failures and to the event functions. A run is reported when its end
// is written to the database, and not before.
//
// It is used only by the goroutine of Run.
type reporter struct {
	log       *journal
	emitter   *emitter
	counts    counts
	failures  failures
	unhandled int // how often a job was put back because there is no handler of its name
}

// ended reports a run whose end is written. now is the time by the database's clock.
func (p *reporter) ended(r *run, now time.Time) {
	v, on := r.verdict, p.emitter.on
	if v.kind == unknown {
		p.unhandled++
	}
	p.log.ended(r, p.unhandled)
	p.counts.ended(r, now)
	p.failures.ended(r, now)

	if r.timedOut {
		p.emitter.job("TimedOut", on.TimedOut, r)
	}
	result := &Result{Took: r.took, Delay: v.delay, Err: v.err}
	switch v.kind {
	case processed, discarded:
		p.emitter.result("Processed", on.Processed, r, result)
	case released, snoozed, unknown, unstarted, neverBegan:
		p.emitter.result("Released", on.Released, r, result)
	case failed:
		p.emitter.result("Failed", on.Failed, r, result)
	case kept, dropped, kinds:
	}
}

// completed reports a job that its handler has deleted in a transaction of its own.
func (p *reporter) completed(r *run, now time.Time) {
	if r.verdict.kind != processed {
		p.log.errorAfterCompletion(r)
		r.verdict = verdict{kind: processed}
	}
	p.ended(r, now)
}

// lost reports that a reservation does not belong to this worker any more. ended is nil while the handler still runs.
func (p *reporter) lost(r *run, ended *verdict) {
	p.log.lost(r, ended)
	p.failures.lost(r, ended)
	p.emitter.job("Lost", p.emitter.on.Lost, r)
}

// stuck reports that a handler is stuck.
func (p *reporter) stuck(r *run) {
	p.log.stuck(r)
	p.emitter.job("Stuck", p.emitter.on.Stuck, r)
}

package worker

import (
	"log/slog"
	"time"
)

// reporter tells how runs of jobs ended: in the log, in the counts, among the failures and to the event functions. A run is reported when
// its end is written to the database, and not before.
//
// It is used only by the goroutine of Run.
type reporter struct {
	log       *journal
	logDone   slog.Level
	meter     *Meter
	slots     *slots
	emitter   *emitter
	counts    counts
	names     names
	batches   *batches
	failures  failures
	unhandled int // how often a job was put back for want of a handler or a key
}

// ended reports a run whose end is written. now is the time by the database's clock.
func (p *reporter) ended(r *run, now time.Time) {
	v, on := r.verdict, p.emitter.on
	if v.kind == unknown || v.kind == noKey {
		p.unhandled++
	}
	p.log.ended(r, p.unhandled, p.logDone)
	waited := p.waited(r)
	p.counts.ended(r, now)
	p.names.ended(r, waited, now)
	p.batches.note(r.info.Queue)
	p.failures.ended(r, now)

	if r.timedOut {
		p.emitter.job("TimedOut", on.TimedOut, r)
	}
	result := Result{
		Outcome: v.kind.outcome(), TimedOut: r.timedOut, Waited: waited, Took: r.took, Delay: v.delay, Err: v.err,
	}
	p.meter.ended(r, result)
	switch v.kind {
	case processed, discarded:
		p.emitter.result("Processed", on.Processed, r, result)
	case released, snoozed, throttled, unknown, noKey, unstarted, neverBegan:
		p.emitter.result("Released", on.Released, r, result)
	case failed:
		p.emitter.result("Failed", on.Failed, r, result)
	case kept, dropped, kinds:
	}
}

// waited is how long the job was due before it was started.
func (p *reporter) waited(r *run) time.Duration {
	started := p.slots.startOf(r)
	if !r.starts || started.IsZero() || r.info.AvailableAt.IsZero() {
		return 0
	}
	return max(started.Add(r.shared.ahead).Sub(r.info.AvailableAt), 0)
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
	p.meter.lost(r)
	p.failures.lost(r, ended)
	p.emitter.job("Lost", p.emitter.on.Lost, r)
}

// stuck reports that a handler is stuck.
func (p *reporter) stuck(r *run) {
	p.log.stuck(r)
	p.meter.stuck(r)
	p.emitter.job("Stuck", p.emitter.on.Stuck, r)
}

package worker

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// rules are what holds for one job: its own settings before its handler's, and these before the worker's.
type rules struct {
	tries   int           // 0: no limit
	timeout time.Duration // 0: no limit
	backoff Backoff
	until   time.Time // no run starts later; zero: no limit

	exceptions int // how many runs may end with an error; 0: no limit
}

func rulesOf(p sqlqueue.Payload, s Settings, c *Config) rules {
	r := rules{
		tries:   max(cmp.Or(s.Tries, c.Tries), 0),
		timeout: max(cmp.Or(s.Timeout, c.Timeout), 0),
		backoff: c.Backoff, until: p.RetryUntil, exceptions: p.MaxExceptions,
	}
	if s.Backoff != nil {
		r.backoff = s.Backoff
	}
	if p.Tries != nil {
		r.tries = *p.Tries
	}
	if p.Timeout != nil {
		r.timeout = time.Duration(*p.Timeout)
	}
	if p.Backoff != nil {
		r.backoff = p.Backoff.After
	}
	return r
}

// verdict is what becomes of a job after a run.
type verdict struct {
	kind        kind
	instead     kind // of a failed job: discarded or kept, when a callback said so; otherwise 0
	exception   bool // of a released job: it is because of an error
	delay       time.Duration
	err         error
	text, stack string // of err, fit to be stored
}

// maxDelay keeps the time when a job is available again within what every database can hold.
const maxDelay = 100 * 365 * 24 * time.Hour

// errUndecided is the error of a run for which no verdict was found.
var errUndecided = errors.New("the run ended, and sqlqueue did not find out how: a fault of sqlqueue itself")

// fallback decides without the application's code: err is the worker's own, stack where it comes from, or empty.
func (r rules) fallback(err error, stack string, job JobInfo, now time.Time) verdict {
	r.backoff = ExponentialBackoff(defaultBackoffFirst, defaultBackoffMost)
	v := r.judge(err, job, now)
	v.write()
	v.stack = clean(stack, maxStack)
	return v
}

// judge decides what becomes of a job whose run has ended with err, at now by the database's clock.
func (r rules) judge(err error, job JobInfo, now time.Time) verdict {
	attempt := job.Attempts
	if err == nil {
		return verdict{kind: processed}
	}
	v := verdict{err: err}
	said := outcomeOf(err)
	switch {
	case said != nil && said.kind != kept:
		v.kind, v.delay = said.kind, said.delay
	case r.spent(attempt):
		v.kind = failed
	case r.exceptions > 0 && job.Exceptions+1 >= r.exceptions:
		v.kind, v.err = failed, fmt.Errorf("%w (error %d of at most %d)", err, job.Exceptions+1, r.exceptions)
	default:
		v.kind, v.exception = released, true
		v.delay = r.backoff(attempt)
	}
	v.delay = min(max(v.delay, 0), maxDelay)

	if v.kind == released {
		switch {
		case r.spent(attempt):
			v.kind, v.err = failed, fmt.Errorf("%w on its last try, %d of %d", err, attempt, r.tries)
		case r.over(now.Add(v.delay)):
			v.kind, v.err = failed, fmt.Errorf("%w (no run may start after %s)", err, r.until.Format(time.RFC3339))
		}
	}
	return v
}

// spent reports whether the run with the number attempt was the last that the job may have.
func (r rules) spent(attempt int) bool { return r.tries > 0 && attempt >= r.tries }

// over reports whether no run may start at t.
func (r rules) over(t time.Time) bool { return !r.until.IsZero() && t.After(r.until) }

// refuse says why a job that was reserved must not run at all. One that has more attempts than tries has its last try yet to come if
// nobody told of its start: its workers died before.
func (r rules) refuse(job *sqlqueue.Job, now time.Time) error {
	switch {
	case r.tries > 0 && job.Attempts > r.tries && job.Started:
		return Fail(fmt.Errorf("no try is left: the worker of the last one (%d of %d) died before it could tell how it went",
			r.tries, r.tries))
	case r.over(now):
		return Fail(fmt.Errorf("no run may start after %s", r.until.Format(time.RFC3339)))
	}
	return nil
}

// write gives the verdict its texts.
func (v *verdict) write() {
	if v.err == nil {
		return
	}
	v.text = textOf(v.err)
	var p *PanicError
	if errors.As(v.err, &p) && p != nil {
		v.stack = clean(p.Stack, maxStack)
	}
}

// settlement is what is to be written; false: nothing.
func (v *verdict) settlement(of sqlqueue.Reservation) (driver.Settlement, bool) {
	s := driver.Settlement{Reservation: of}
	switch cmp.Or(v.instead, v.kind) {
	case processed, discarded:
		s.Outcome = driver.Delete
	case released:
		s.Outcome, s.Delay, s.Exception = driver.Release, v.delay, v.exception
	case snoozed, throttled, unknown, noKey, unstarted, neverBegan:
		s.Outcome, s.Delay, s.GiveBack = driver.Release, v.delay, true
	case failed:
		s.Outcome, s.Error, s.Stack = driver.Fail, v.text, v.stack
	default: // also the zero verdict: nothing must come of what nobody has decided
		return s, false
	}
	return s, true
}

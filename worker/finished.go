package worker

import (
	"cmp"
	"context"
	"errors"
	"math"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// progressEvery is how often the progress of a job is written at most. It is less than controlEvery: an exchange that comes after that time
// takes it along.
const progressEvery = 900 * time.Millisecond

// Progress tells operators how far the handler is: a fraction from 0 to 1, and what it does now, of which 200 characters are kept. It
// returns at once, and may be called as often as one likes, by any goroutine: the last values are written about once a second, with what
// the worker writes anyway. They are shown while the job runs. A fraction outside is taken for the nearest end, and NaN for 0. In sync
// mode, and in the child processes of listen, it does nothing.
func (j JobInfo) Progress(fraction float64, text string) {
	if math.IsNaN(fraction) {
		fraction = 0
	}
	j.with().progress.Store(&driver.Progress{
		Fraction: min(max(fraction, 0), 1), Text: start(clean(text, maxError), driver.ProgressMost),
	})
}

// Progress is JobInfo.Progress for a method Handle of the data itself, by its context.
func Progress(ctx context.Context, fraction float64, text string) error {
	info, ok := InfoFrom(ctx)
	if !ok {
		return errors.New("worker: Progress needs the context of a handler of HandleSelf: use Progress of the *worker.Job")
	}
	info.Progress(fraction, text)
	return nil
}

// Kept is how Queue.Delete keeps the job when it deletes it; nil: it is not kept.
func (j JobInfo) Kept() *driver.Keep {
	with := j.with()
	if with.keep == nil {
		return nil
	}
	kept := *with.keep
	if text := with.result.Load(); text != nil {
		kept.Result = *text
	}
	return &kept
}

// keepOf is how a job is kept when it is done, or nil: as it says itself, or else as operators have said.
func (e *executor) keepOf(own *sqlqueue.Seconds, name, queue string) *driver.Keep {
	var d time.Duration
	switch {
	case own != nil:
		d = time.Duration(*own)
	case len(e.keep) > 0:
		d = driver.KeepOf(e.keep, queue)
	}
	if d <= 0 {
		return nil
	}
	return &driver.Keep{
		For: min(d, maxDelay), Outcome: driver.Done, Name: start(clean(name, maxError), driver.NameMost), Worker: e.config.Name,
	}
}

// keep is how the job of a run is kept that is deleted; nil: it is not.
func (r *run) keep() *driver.Keep {
	kept := r.info.Kept()
	if kept != nil && cmp.Or(r.verdict.instead, r.verdict.kind) != processed {
		kept.Outcome, kept.Result = driver.Discarded, nil
	}
	return kept
}

// progressDue reports whether there is progress of the run to write now.
func (r *run) progressDue(now time.Time) bool {
	return r.shared.progress.Load() != nil && !now.Before(r.progressAt)
}

package worker

import (
	"cmp"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	errorsAfter   = time.Second // errors that wait have a beat sent so long after the last
	errorsASecond = 100         // more are only counted
	errorsWaiting = 1000        // how many wait at most while beats fail
	errorsTidied  = 500         // after how many the old ones are deleted, and once a minute
)

// failures are the runs that went wrong, as far as they are not written yet. A beat writes them (presence.go). They cost nothing while
// all goes well.
//
// It is used only by the goroutine of Run.
type failures struct {
	waiting []driver.RunError
	leftOut int       // how many were too many, since that was logged
	second  time.Time // when the present second began
	inIt    int       // how many came in it
	written int       // how many were taken since old ones were deleted
	tidied  time.Time // when old ones were deleted
}

// ended notes a run that went wrong, at now by the database's clock.
func (f *failures) ended(r *run, now time.Time) {
	if v := &r.verdict; v.kind == failed || v.kind == released && v.exception {
		f.add(r, cmp.Or(v.instead, v.kind).String(), v.text, now)
	}
}

// lost notes a run whose reservation was lost. Verdict is nil while the handler still runs.
func (f *failures) lost(r *run, v *verdict) {
	text := sqlqueue.ErrReservationLost.Error()
	if v != nil && v.text != "" {
		text += ": " + v.text
	}
	f.add(r, "lost", text, time.Now().Add(r.shared.ahead))
}

func (f *failures) add(r *run, outcome, text string, at time.Time) {
	if now := time.Now(); now.Sub(f.second) >= time.Second {
		f.second, f.inIt = now, 0
	}
	if f.inIt++; f.inIt > errorsASecond || len(f.waiting) >= errorsWaiting {
		f.leftOut++
		return
	}
	f.waiting = append(f.waiting, driver.RunError{
		JobID: r.info.ID, Queue: r.info.Queue, Name: start(clean(r.info.Name, maxError), driver.NameMost), Attempt: r.info.Attempts,
		Outcome: outcome, Error: start(text, driver.ErrorMost), Stack: start(r.verdict.stack, driver.StackMost), Took: r.took, At: at,
	})
}

// take moves what waits into a beat, and has old errors deleted every so often. It returns how many were left out.
func (f *failures) take(b *driver.Beat, every time.Duration, now time.Time) (leftOut int) {
	b.Errors, f.waiting = f.waiting, nil
	f.written += len(b.Errors)
	if !b.Leave && (f.written >= errorsTidied || now.Sub(f.tidied) >= every) {
		b.OldErrors, b.MostErrors = driver.ErrorsKept, driver.ErrorsMost
		f.written, f.tidied = 0, now
	}
	leftOut, f.leftOut = f.leftOut, 0
	return leftOut
}

// restore takes back what a beat has not written.
func (f *failures) restore(b driver.Beat) { f.waiting = append(b.Errors, f.waiting...) }

// start is the beginning of a text: at most so many characters.
func start(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for i := range text {
		if most == 0 {
			return text[:i]
		}
		most--
	}
	return text
}

package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

// journal has the wording of all that is logged. There is one line for each run of a job: see Config.LogDone.
type journal struct{ to *slog.Logger }

// say logs by a method of the Logger. A panic there is not the worker's end.
func (j *journal) say(level func(what string, attrs ...any), what string, attrs ...slog.Attr) {
	defer func() { _ = recover() }()
	args := make([]any, len(attrs))
	for i, attr := range attrs {
		args[i] = attr
	}
	level(what, args...)
}

// tell logs a line about a run, with what LogWith has said.
//
//nolint:contextcheck // a line is logged whatever has ended
func (j *journal) tell(r *run, level slog.Level, what string, attrs ...slog.Attr) {
	defer func() { _ = recover() }()
	ctx := context.Background()
	if with := r.shared.log.Load(); with != nil {
		ctx, attrs = with.ctx, append(attrs, with.attrs...)
	}
	j.to.LogAttrs(ctx, level, what, attrs...)
}

// enabled reports whether lines of a level are wanted: those of each job cost a tenth of all the worker's work.
//
//nolint:contextcheck // no line has one
func (j *journal) enabled(level slog.Level) bool { return j.to.Enabled(context.Background(), level) }

func (j *journal) starting(w driver.Worker) {
	j.say(j.to.Info, "worker started", slog.String("name", w.Name), slog.String("queues", strings.Join(w.Queues, ",")),
		slog.Int("concurrency", w.Concurrency))
}

func (j *journal) fewSlots(name string, most, concurrency int) {
	j.say(j.to.Warn, "handler of many jobs gets fewer than it takes: each holds a place, so set Concurrency to as many",
		slog.String("job", name), slog.Int("takes", most), slog.Int("concurrency", concurrency))
}

func (j *journal) stopping(reason string, running int) {
	j.say(j.to.Info, "worker stopping", slog.String("reason", reason), slog.Int("running", running))
}

func (j *journal) stopped(reason string, after time.Duration) {
	j.say(j.to.Info, "worker stopped", slog.String("reason", reason), slog.Duration("after", after))
}

func (j *journal) unfinished(reason string, left error) {
	j.say(j.to.Warn, "worker stopped", slog.String("reason", reason), slog.String("error", left.Error()))
}

func (j *journal) concurrency(from, to int) {
	j.say(j.to.Info, "concurrency changed", slog.Int("from", from), slog.Int("to", to))
}

func (j *journal) away(err error, kind fault) {
	level, attrs := j.to.Warn, []slog.Attr{slog.String("error", textOf(err))}
	var p *PanicError
	if kind == bug && errors.As(err, &p) {
		level, attrs = j.to.Error, append(attrs, slog.String("stack", clean(p.Stack, maxStack)))
	}
	j.say(level, "exchange with the database failed, trying again", attrs...)
}

func (j *journal) stillAway(err error, since time.Duration, tries int) {
	j.say(j.to.Warn, "exchange with the database still fails, trying again", slog.Duration("since", since.Round(time.Second)),
		slog.Int("tries", tries), slog.String("error", textOf(err)))
}

func (j *journal) tooLarge(queue string) {
	j.say(j.to.Error,
		"the first due job of a queue could not be fetched in time, its payload may be too large for the connection: the queue waits",
		slog.String("queue", queue), slog.Duration("after", exchangeTimeout), slog.Duration("for", skipFor))
}

func (j *journal) denied(err error) {
	j.say(j.to.Error, "the database refuses; the worker ends if that lasts",
		slog.Duration("for", deniedFor), slog.String("error", textOf(err)))
}

func (j *journal) cannotBegin(err error) {
	j.say(j.to.Error, "the worker cannot start", slog.String("error", textOf(err)))
}

func (j *journal) ending(err error) {
	j.say(j.to.Error, "the worker ends", slog.String("error", textOf(err)))
}

func (j *journal) back(after time.Duration) {
	j.say(j.to.Info, "database answers again", slog.Duration("after", after))
}

func (j *journal) clockWasSet(step time.Duration) {
	j.say(j.to.Warn, "the clock of the database was set, or this machine slept: expired jobs are left to their owners for a while",
		slog.Duration("by", step.Round(time.Second/10)), slog.Duration("for", requeueGrace))
}

func (j *journal) processing(r *run) {
	if !j.enabled(slog.LevelDebug) {
		return
	}
	j.tell(r, slog.LevelDebug, "processing", about(r)...)
}

// ended is the line of a job's run: "processed", "released", "failed", …
func (j *journal) ended(r *run, unhandled int, done slog.Level) {
	v, level := &r.verdict, levelOf(&r.verdict, done)
	if !j.enabled(level) {
		return
	}
	attrs := about(r)
	if r.starts && v.kind != unstarted {
		attrs = append(attrs, slog.Duration("duration", r.took))
	}
	switch v.kind {
	case released, snoozed, throttled, neverBegan:
		attrs = append(attrs, slog.Duration("delay", v.delay))
	case unknown, noKey:
		attrs = append(attrs, slog.Duration("delay", v.delay), slog.Int("count", unhandled))
	case failed:
		switch v.instead {
		case discarded:
			attrs = append(attrs, slog.String("then", "discarded by a callback"))
		case kept:
			attrs = append(attrs, slog.String("then", "kept by a callback"))
		default:
		}
	default:
	}
	j.tell(r, level, v.kind.String(), append(attrs, why(v)...)...)
}

// levelOf is that of the line of a run's end: what failed for good is an error, and what runs again after an error a warning.
func levelOf(v *verdict, done slog.Level) slog.Level {
	switch {
	case v.kind == failed, v.kind == neverBegan:
		return slog.LevelError
	case v.kind == unknown, v.kind == noKey, v.kind == released && v.exception:
		return slog.LevelWarn
	case v.kind == processed, v.kind == discarded:
		return done
	}
	return slog.LevelInfo
}

// lost is the line of a lost reservation: found while the handler runs, or when its end was to be written.
func (j *journal) lost(r *run, v *verdict) {
	attrs := about(r)
	if v != nil {
		attrs = append(append(attrs, slog.String("dropped", v.kind.String())), why(v)...)
	}
	j.tell(r, slog.LevelWarn, "reservation lost", attrs...)
}

// dropped is the line of a handler that returns after its reservation was lost.
func (j *journal) dropped(r *run) {
	j.tell(r, slog.LevelInfo, "dropped: returned after its reservation was lost", append(about(r), why(&r.verdict)...)...)
}

func (j *journal) stuck(r *run) {
	if !r.lostAt.IsZero() {
		j.tell(r, slog.LevelError, "handler is stuck: its reservation was lost and it does not return; its slot is lost", about(r)...)
		return
	}
	j.tell(r, slog.LevelError, "handler is stuck: it has timed out and does not return; its job is settled, its slot is lost", about(r)...)
}

func (j *journal) late(r *run) {
	j.tell(r, slog.LevelWarn, "dropped: a stuck handler has returned", about(r)...)
}

func (j *journal) cannotListen(err error, again time.Duration) {
	j.say(j.to.Info, "worker does not hear of pushes and looks more often; it tries again",
		slog.String("error", textOf(err)), slog.Duration("in", again))
}

func (j *journal) paused(on bool) {
	what := "worker goes on"
	if on {
		what = "worker paused"
	}
	j.say(j.to.Info, what)
}

func (j *journal) errorsLeftOut(n int) {
	j.say(j.to.Warn, "errors of runs were not written to the database, which gets so many a second", slog.Int("count", n),
		slog.Int("most", errorsASecond))
}

func (j *journal) uncertain(r *run) {
	attrs := append(about(r), slog.String("as", r.verdict.kind.String()))
	j.tell(r, slog.LevelWarn, "ended, but the database's answer never came, and now the row is not ours",
		append(attrs, why(&r.verdict)...)...)
}

func (j *journal) refused(r *run, err error) {
	attrs := append(about(r), slog.String("as", r.verdict.kind.String()), slog.String("refusal", textOf(err)))
	j.tell(r, slog.LevelError, "the database refuses to write how the job ended", append(attrs, why(&r.verdict)...)...)
}

func (j *journal) errorAfterCompletion(r *run) {
	attrs := append(about(r), slog.String("dropped", r.verdict.kind.String()))
	j.tell(r, slog.LevelWarn, "handler completed its job and then returned something else", append(attrs, why(&r.verdict)...)...)
}

func (j *journal) callbackFailed(r *run, text string) {
	j.tell(r, slog.LevelError, "callback of a failed job went wrong", append(about(r), slog.String("error", text))...)
}

func (j *journal) cannotStart(r *run, pause time.Duration) {
	attrs := append(about(r), slog.Duration("pause", pause))
	j.tell(r, slog.LevelError, "this machine cannot start jobs: the worker reserves none for a while", append(attrs, why(&r.verdict)...)...)
}

func (j *journal) callbackHangs(r *run, what string) {
	j.tell(r, slog.LevelError, "code of the application does not return: the job is settled without it, its slot is lost",
		append(about(r), slog.String("code", what))...)
}

func (j *journal) undecided(r *run) {
	j.tell(r, slog.LevelError, "a fault of sqlqueue itself: a run ended without an outcome; its job counts as ended with an error",
		about(r)...)
}

func (j *journal) eventFailed(name string, err error) {
	j.say(j.to.Error, "event function went wrong", slog.String("event", name), slog.String("error", textOf(err)))
}

func (j *journal) eventHangs(name string) {
	j.say(j.to.Error, "event function does not return: no event is told until it does", slog.String("event", name))
}

func (j *journal) eventReturned(name string, after time.Duration, missed int) {
	j.say(j.to.Warn, "event function has returned", slog.String("event", name), slog.Duration("after", after), slog.Int("missed", missed))
}

func about(r *run) []slog.Attr {
	return []slog.Attr{
		slog.Int64("id", r.info.ID), slog.String("name", clean(r.info.Name, maxError)), slog.String("queue", r.info.Queue),
		slog.Int("attempts", r.info.Attempts),
	}
}

func why(v *verdict) []slog.Attr {
	var attrs []slog.Attr
	if v.text != "" {
		attrs = append(attrs, slog.String("error", v.text))
	}
	if v.stack != "" {
		attrs = append(attrs, slog.String("stack", v.stack))
	}
	return attrs
}

func (j *journal) schedulesFailed(err error) {
	j.say(j.to.Warn, "a schedule has not come", slog.String("error", textOf(err)))
}

func (j *journal) upkeepFailed(err error) {
	j.say(j.to.Warn, "cannot measure the queues and merge counts", slog.String("error", textOf(err)))
}

func (j *journal) throttleFailed(queue string, err error) {
	j.say(j.to.Warn, "cannot pause a queue that is to rest: other workers go on with it",
		slog.String("queue", queue), slog.String("error", textOf(err)))
}

func (j *journal) batchesFailed(err error) {
	j.say(j.to.Warn, "cannot look at the batches: their callbacks wait", slog.String("error", textOf(err)))
}

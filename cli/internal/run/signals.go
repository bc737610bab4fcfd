package run

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sqlqueue/sqlqueue/worker"
)

// endSignals are the signals that let a worker finish. HUP is one of them unless it was ignored when this process began, as nohup has it.
func endSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// outlivePipes makes a write to a log that nobody reads any more an error of that write, from now on. Otherwise PIPE would end this
// process. The signal is caught and not ignored, because what is ignored stays so in the commands that are started.
func outlivePipes() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

var errAtOnce = errors.New("stopped at once by a second signal: jobs that were running run again when their reservations expire")

var errNoEnd = errors.New("the worker did not end within its grace: jobs that were running run again when their reservations expire")

// A signal that comes again so soon counts once: whoever forwards Ctrl-C to a process often does so to one whose terminal has sent it too.
const soon = time.Second

// repeats tells signals that came just before.
type repeats struct {
	last os.Signal
	at   time.Time
}

// is reports whether the signal repeats the one before.
func (r *repeats) is(s os.Signal, now time.Time) bool {
	repeated := s == r.last && now.Sub(r.at) < soon
	r.last, r.at = s, now
	return repeated
}

// untilSignal runs run with a context that ends at the first TERM, INT, QUIT or HUP. The second one ends atOnce, and gives run a moment,
// and so does the end of the longest time that run may take after its context; negative: there is none. HUP is never taken for the second:
// a terminal that closes sends several, and systemd sends one after its TERM. From the first one on they stay caught: a later one must not
// kill the process on its way out.
func untilSignal(
	ctx context.Context, logger *slog.Logger, longest, moment time.Duration, run func(ctx, atOnce context.Context) error,
) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, endSignals()...)

	ctx, drain := context.WithCancel(ctx)
	defer drain()
	atOnce, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	var result error
	done := make(chan struct{})
	go func() {
		result = run(ctx, atOnce)
		close(done)
	}()

	ended := ctx.Done()
	var over <-chan time.Time
	caught, second := false, false // second: the next signal is the second one
	why := errAtOnce
	var before repeats
wait:
	for {
		select {
		case <-done:
			if !caught {
				signal.Stop(signals)
			}
			return result
		case s := <-signals:
			if before.is(s, time.Now()) {
				continue
			}
			if second && s != syscall.SIGHUP {
				break wait
			}
			if !caught {
				logger.Info("signal: finishing; a second one ends it at once", "signal", s.String())
				drain()
			}
			caught, second = true, second || s != syscall.SIGHUP
		case <-ended:
			ended = nil
			if longest >= 0 {
				over = time.After(longest)
			}
		case <-over:
			why = errNoEnd
			break wait
		}
	}
	end(worker.ErrStopped)
	select {
	case <-done:
	case <-time.After(moment):
	}
	return why
}

// Within calls f, and returns when it has, or when it takes longer than that.
func Within(limit time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

package worker

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// Config holds a Worker's settings. Its zero value works. It is copied.
//
// A job's own settings for tries, timeout and backoff beat its handler's (see Settings), and these beat those here.
type Config struct {
	// Queues are served in strict order: a job of a later queue is taken only when none of an earlier one is due. Space at the ends of
	// a name is removed, and a name that comes again is left out. Default: the queue of the Queue's Config.
	Queues []string

	// Fair serves the queues in turn: each is the first in every so many reservations. Of more than a hundred, one that always has jobs may
	// be the first for a second. Default: in strict order.
	Fair bool

	// Concurrency is how many handlers run at once. Default 10. An operator can set another number while the worker runs.
	Concurrency int

	// Tries is how often a job runs at most: when that many runs have ended with an error, it has failed. Default 25; -1: no limit.
	Tries int

	// Backoff says how long a job waits after an error. Default ExponentialBackoff(time.Second, time.Hour).
	Backoff Backoff

	// Timeout is how long a handler may run before its context ends. Default 60 s; -1: no limit.
	Timeout time.Duration

	// StuckAfter is how long a handler may still run after its timeout, or after its reservation was lost. Then it is stuck:
	// its job is settled as timed out, if it is still this worker's, and whatever the handler returns later changes nothing;
	// but nothing can end it, so it keeps its place among Concurrency. Default 5 s.
	StuckAfter time.Duration

	// MaxStuck is how many stuck handlers the worker tolerates. With one more, or when there is no place left for others, Run
	// ends as at the end of its context, for a supervisor to start the process again. Default half of Concurrency, rounded
	// down; -1: none.
	MaxStuck int

	// Expire is how long a reservation lasts after its worker has last extended it. So it is how long after its worker died a job runs
	// again. Default 60 s, at least 1 ms; -1: reservations never expire, and this worker requeues none of others. An operator can set
	// another value for a queue.
	Expire time.Duration

	// Sleep is how long the worker waits at most, when no job is due, before it looks again. Default 3 s, at least 1 ms. It
	// wakes for a job whose time is known to come, and for a push: of its own process at once, and of others where the database
	// tells of it (PostgreSQL, SQLite). Elsewhere it looks after an eighth of the time that there was nothing to do.
	// If more than ten workers of the same queues are idle, they look in turn, each up to 7.5 s after its last look.
	Sleep time.Duration

	// Rest is how long a place among Concurrency stays empty after a job. Default 0.
	Rest time.Duration

	// Grace is how long handlers may still run after Run's context has ended. Then their contexts end too, and they have StuckAfter to
	// return. Default 30 s; -1: no limit.
	Grace time.Duration

	// Once ends Run after one job. When none is due, Run sleeps once, and ends. Concurrency is then 1.
	Once bool

	// StopWhenEmpty ends Run when no job is due and none is running here. Schedules that are due push their jobs first. Jobs that are
	// delayed do not hold it up.
	StopWhenEmpty bool

	// MaxJobs ends Run after so many jobs. Default 0: no limit.
	MaxJobs int

	// MaxTime ends Run after so long, when the jobs that run then have ended. Default 0: no limit.
	MaxTime time.Duration

	// MaxMemory ends Run when the process uses more memory (on Linux, its resident set), in bytes: when the jobs that run then
	// have ended, it returns ErrMemory. A Run that begins above the limit does one job first, if there is one. Default 0: no
	// limit.
	MaxMemory int64

	// Schedules are set when Run begins, by Queue.Schedule. One that is left out later stays in the table: two versions of a program
	// may run beside each other. Workers run all schedules in the table, no matter which program has set them. Default: none.
	Schedules []sqlqueue.Schedule

	// Force makes the worker run jobs also during maintenance.
	Force bool

	// Name is shown to operators: at most 191 characters. Default: the host's name and the process's number.
	Name string

	// OnFailed is called for every job that has failed for good, after the data's own method Failed: see Handle. The first of the two
	// that does not return nil decides. Default: nil, so failed jobs are kept as failed jobs. It runs in the job's goroutine with a
	// context of its own that ends after 60 s; the job's reservation is kept alive meanwhile.
	OnFailed FailedFunc

	// Health gets the worker's state, for the probes of a supervisor. Default: nil.
	Health *Health

	// Events are called when something happens. Default: no events.
	Events Events

	// Meter measures what the worker does. Default: none.
	Meter Meter

	// LogDone is the level of the line about a job that is done or discarded: slog.LevelDebug hides it from most loggers. Default
	// slog.LevelInfo. A job that has failed for good is an error, and one that runs again after an error a warning.
	LogDone slog.Level

	// Logger gets one line for each job, and what goes wrong. Default slog.Default().
	Logger *slog.Logger
}

// The defaults of Config.
const (
	defaultConcurrency = 10
	defaultTries       = 25
	defaultTimeout     = 60 * time.Second
	defaultExpire      = 60 * time.Second
	defaultStuckAfter  = 5 * time.Second
	defaultSleep       = 3 * time.Second
	defaultGrace       = 30 * time.Second

	defaultBackoffFirst = time.Second
	defaultBackoffMost  = time.Hour
)

// complete returns the settings with defaults in place of zeros, or says what is wrong with them. In what it returns, zero is "none" or
// "never" for Tries, Timeout and Expire.
func (c Config) complete(q *sqlqueue.Queue) (Config, error) {
	queues, err := queuesOf(c.Queues, q)
	if err != nil {
		return c, err
	}
	c.Queues = queues
	if c.Once {
		c.Concurrency, c.MaxJobs = 1, 1
	}
	switch {
	case c.Concurrency < 0:
		return c, fmt.Errorf("concurrency is %d: it must be at least 1", c.Concurrency)
	case c.Tries < -1:
		return c, fmt.Errorf("tries is %d: it must be at least 1, or -1 for no limit", c.Tries)
	case c.MaxJobs < 0:
		return c, fmt.Errorf("max jobs is %d: it must be at least 1, or 0 for no limit", c.MaxJobs)
	case c.MaxTime < 0:
		return c, fmt.Errorf("max time is %v: it must be more than 0, or 0 for no limit", c.MaxTime)
	case c.Timeout < -1:
		return c, fmt.Errorf("timeout is %v: it must be more than 0, or -1 for no limit", c.Timeout)
	case c.Expire < -1, c.Expire > 0 && c.Expire < time.Millisecond:
		return c, fmt.Errorf("expire is %v: it must be at least 1 ms, or -1 for never", c.Expire)
	case c.Sleep < 0, c.Sleep > 0 && c.Sleep < time.Millisecond:
		return c, fmt.Errorf("sleep is %v: it must be at least 1 ms", c.Sleep)
	case c.StuckAfter < 0:
		return c, fmt.Errorf("stuck after is %v: it must be more than 0", c.StuckAfter)
	case c.MaxStuck < -1:
		return c, fmt.Errorf("max stuck is %d: it must be at least 1, or -1 for none", c.MaxStuck)
	case c.Rest < 0:
		return c, fmt.Errorf("rest is %v: it must be 0 or more", c.Rest)
	case c.MaxMemory < 0:
		return c, fmt.Errorf("max memory is %d bytes: it must be more than 0, or 0 for no limit", c.MaxMemory)
	case c.Grace < -1:
		return c, fmt.Errorf("grace is %v: it must be more than 0, or -1 for no limit", c.Grace)
	case !utf8.ValidString(c.Name), strings.ContainsRune(c.Name, 0), utf8.RuneCountInString(c.Name) > 191:
		return c, errors.New("name must be at most 191 characters of UTF-8")
	}
	c.Concurrency = cmp.Or(c.Concurrency, defaultConcurrency)
	c.Tries = max(cmp.Or(c.Tries, defaultTries), 0)
	c.Timeout = max(cmp.Or(c.Timeout, defaultTimeout), 0)
	c.Expire = max(cmp.Or(c.Expire, defaultExpire), 0)
	c.StuckAfter = cmp.Or(c.StuckAfter, defaultStuckAfter)
	c.MaxStuck = max(cmp.Or(c.MaxStuck, c.Concurrency/2), 0)
	c.Sleep = cmp.Or(c.Sleep, defaultSleep)
	c.Grace = cmp.Or(c.Grace, defaultGrace)
	if c.Backoff == nil {
		c.Backoff = ExponentialBackoff(defaultBackoffFirst, defaultBackoffMost)
	}
	if c.Health == nil {
		c.Health = new(Health)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Name == "" {
		c.Name = fmt.Sprintf("%.150s-%d", host(), os.Getpid())
	}
	return c, nil
}

func queuesOf(names []string, q *sqlqueue.Queue) ([]string, error) {
	var queues []string
	known := map[string]bool{}
	for _, name := range names {
		name = strings.TrimSpace(name)
		if err := sqlqueue.CheckQueueName(name); err != nil {
			return nil, err
		}
		if !known[name] {
			known[name], queues = true, append(queues, name)
		}
	}
	if queues == nil {
		queues = []string{q.Config().Queue}
	}
	return queues, nil
}

func host() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

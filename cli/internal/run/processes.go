package run

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/worker"
)

// fleet is what is known of the worker processes under this one.
type fleet struct {
	count  int
	path   string        // of the program
	args   []string      // of each
	finite bool          // one that exits 0 is done
	grace  time.Duration // after a signal, until what is left is killed; negative: never
	most   time.Duration // until none is started any more, and those that were started again end; 0: no limit
	logger *slog.Logger
}

const (
	firstRestart = time.Second // the wait before a process that has ended is started again; twice as long each time
	mostRestart  = time.Minute
	healthyAfter = time.Minute // one that has run so long begins with the first wait again

	toKill = 5 * time.Second // that a worker has, after the time when it ends by itself at the latest
)

// newFleet returns a fleet of processes of this program, with its arguments but for --processes.
func newFleet(count int, config worker.Config) (*fleet, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	grace := toEndAfter(config)
	if grace >= 0 {
		grace += toKill
	}
	return &fleet{
		count:  count,
		path:   path,
		args:   withoutFlag(os.Args[1:], "--processes"),
		finite: config.Once || config.StopWhenEmpty || config.MaxJobs > 0 || config.MaxTime > 0,
		grace:  grace,
		most:   config.MaxTime,
		logger: config.Logger,
	}, nil
}

// withoutFlag leaves out a flag and its value.
func withoutFlag(args []string, name string) (rest []string) {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "--":
			return append(rest, args[i:]...)
		case args[i] == name:
			i++
		case strings.HasPrefix(args[i], name+"="):
		default:
			rest = append(rest, args[i])
		}
	}
	return rest
}

// restart says whether a process that has ended is started again, and after what wait; failures counts the ends in a row that were none of
// its work's.
func (f *fleet) restart(code int, lived time.Duration, failures *int) (again bool, wait time.Duration) {
	switch {
	case code == exit.Done:
		*failures = 0
		return !f.finite, 0
	case code == exit.Usage:
		return false, 0
	case code == exit.Memory, lived >= healthyAfter:
		*failures = 0
	}
	wait = min(firstRestart<<min(*failures, 10), mostRestart)
	*failures++
	return true, wait
}

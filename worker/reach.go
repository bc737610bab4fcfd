package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const (
	// reachBytes bounds the payloads of one exchange, where no limit of memory bounds them more.
	reachBytes = 16 << 20

	// reachShare is the part of the memory that is left that payloads of one exchange may take: each is there several times, as the
	// driver's, the job's, its data's and the handler's.
	reachShare = 4

	// quickly is how soon an exchange must have been answered for the next to ask for more.
	quickly = exchangeTimeout / 4
)

// asideFor is how long a queue is left alone whose first job could not be carried in time.
const asideFor = time.Minute

// reach is how much one exchange asks for: half as much after one that has failed, a single job after one that was not answered in time, and
// twice as much after one that was answered soon. When even a single job was not carried in time, the queues are asked one by one, and the
// one whose job it is stands aside for a while, so that it does not stop the others.
type reach struct {
	most  int                  // jobs; unlimited: no bound
	probe []string             // queues to be asked one by one
	aside map[string]time.Time // until when a queue is left alone
}

// failed notes that an exchange that has asked for jobs has failed. It returns the queue whose job could not be carried in time, or nothing.
func (r *reach) failed(x driver.Exchange, err error, now time.Time) (queue string) {
	if x.Limit == 0 {
		return ""
	}
	r.most = max(min(x.Limit, r.most)/2, 1)
	if !errors.Is(err, context.DeadlineExceeded) {
		return ""
	}
	r.most = 1
	switch {
	case x.Limit > 1:
		return ""
	case len(x.Reserve) > 1:
		r.probe = nil
		for _, of := range x.Reserve {
			r.probe = append(r.probe, of.Queue)
		}
		return ""
	}
	queue = x.Reserve[0].Queue
	if r.aside == nil {
		r.aside = map[string]time.Time{}
	}
	r.aside[queue] = now.Add(asideFor)
	r.probed(queue)
	return queue
}

func (r *reach) probed(queue string) {
	r.probe = slices.DeleteFunc(r.probe, func(other string) bool { return other == queue })
}

// succeeded notes that an exchange has been answered after so long.
func (r *reach) succeeded(x driver.Exchange, took time.Duration) {
	if x.Limit == 0 {
		return
	}
	if len(x.Reserve) == 1 {
		r.probed(x.Reserve[0].Queue)
	}
	if r.most == unlimited || took > quickly {
		return
	}
	if r.most *= 2; r.most > 1<<16 {
		r.most = unlimited
	}
}

// queues are those of these that may be asked now.
func (r *reach) queues(of []string, now time.Time) []string {
	for queue, until := range r.aside {
		if !now.Before(until) {
			delete(r.aside, queue)
			r.probe = append(r.probe, queue)
		}
	}
	if len(r.probe) > 0 {
		r.most = 1
		return r.probe[:1:1]
	}
	if len(r.aside) == 0 {
		return of
	}
	return slices.DeleteFunc(slices.Clone(of), func(queue string) bool { return !r.aside[queue].IsZero() })
}

// bytes bounds the payloads of one exchange, when so much memory is left; less than zero: there is no limit.
func (r *reach) bytes(left int64) int64 {
	if left < 0 {
		return reachBytes
	}
	return max(min(left/reachShare, reachBytes), 1)
}

// memoryLeft is how much more memory the process may use, less than zero: there is no limit.
func (l *loop) memoryLeft() int64 {
	if l.config.MaxMemory <= 0 {
		return -1
	}
	return max(l.config.MaxMemory-l.used, 0)
}

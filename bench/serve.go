package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// request is what the runner asks of a process, one line of JSON each. Peers in other languages answer the same.
type request struct {
	Op string `json:"op"` // open, fill, push, work, count, handled, stop

	DSN   string `json:"dsn,omitempty"`   // open
	Setup bool   `json:"setup,omitempty"` // open: make the tables first

	Jobs  int     `json:"jobs,omitempty"`  // fill: how many; handled: how many the workers have run so far
	Delay float64 `json:"delay,omitempty"` // fill: due after so many seconds

	Clients int     `json:"clients,omitempty"` // push: how many at once
	Batch   int     `json:"batch,omitempty"`   // push: jobs in a call
	Seconds float64 `json:"seconds,omitempty"` // push: for so long, and answer then; 0: until stop, and answer at once
	Rate    int     `json:"rate,omitempty"`    // push: calls a second, all clients together; 0: as many as possible
	Ahead   int     `json:"ahead,omitempty"`   // push: wait while so many jobs are pushed and not handled; 0: never

	Concurrency int `json:"concurrency,omitempty"` // work: 0 for the system's own
	Sleep       int `json:"sleep,omitempty"`       // work: each handler takes so many milliseconds
}

type reply struct {
	Error     string    `json:"error,omitempty"`
	Jobs      int       `json:"jobs"`              // pushed or handled
	Seconds   float64   `json:"seconds,omitempty"` // push
	CPU       float64   `json:"cpu"`               // seconds of this process, since push or work
	First     int64     `json:"first,omitempty"`   // when work began, in microseconds since 1970
	Last      int64     `json:"last,omitempty"`    // when the newest handler was called
	Latencies []float64 `json:"latencies,omitempty"`
}

// server answers the runner, in the process of a system.
type server struct {
	system system
	queue  queue

	cpu         float64
	first       int64
	last        atomic.Int64
	pushed, ran atomic.Int64
	handled     atomic.Int64 // by other processes, as the runner tells

	latencies []float64 // of the first jobs, in milliseconds

	stop func() error
}

const latenciesKept = 100_000

func serve(s system, in io.Reader, out io.Writer) error {
	srv := &server{system: s, latencies: make([]float64, latenciesKept)}
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var q request
		if err := requests.Decode(&q); errors.Is(err, io.EOF) {
			if srv.queue != nil {
				srv.queue.Close()
			}
			return nil
		} else if err != nil {
			return err
		}
		var a reply
		if err := srv.answer(context.Background(), q, &a); err != nil {
			a.Error = err.Error()
		}
		if err := replies.Encode(a); err != nil {
			return err
		}
	}
}

func (s *server) answer(ctx context.Context, q request, a *reply) (err error) {
	switch q.Op {
	case "open":
		s.queue, err = s.system.open(ctx, q.DSN, q.Setup)
	case "fill":
		for left := q.Jobs; left > 0 && err == nil; left -= 1000 {
			err = s.queue.Push(ctx, newJobs(min(left, 1000)), time.Duration(q.Delay*float64(time.Second)))
		}
	case "push":
		s.begin()
		if q.Seconds == 0 {
			s.background(ctx, func(ctx context.Context) error { return s.push(ctx, q) })
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, time.Duration(q.Seconds*float64(time.Second)))
		defer cancel()
		began := time.Now()
		err = s.push(ctx, q)
		a.Seconds, a.Jobs, a.CPU = time.Since(began).Seconds(), int(s.pushed.Load()), cpuTime()-s.cpu
	case "work":
		s.begin()
		s.background(ctx, func(ctx context.Context) error {
			return s.queue.Work(ctx, q.Concurrency, s.handler(time.Duration(q.Sleep)*time.Millisecond))
		})
	case "handled":
		s.handled.Store(int64(q.Jobs))
	case "count", "stop":
		if q.Op == "stop" && s.stop != nil {
			err, s.stop = s.stop(), nil
			a.CPU, a.Latencies = cpuTime()-s.cpu, s.latencies[:min(s.ran.Load(), latenciesKept)]
		}
		a.Jobs, a.First, a.Last = int(max(s.pushed.Load(), s.ran.Load())), s.first, s.last.Load()
	default:
		err = fmt.Errorf("unknown request %q", q.Op)
	}
	return err
}

func (s *server) begin() {
	s.cpu, s.first = cpuTime(), time.Now().UnixMicro()
	s.pushed.Store(0)
}

func (s *server) background(ctx context.Context, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	s.stop = func() error {
		cancel()
		return <-ended
	}
}

// handler counts jobs, and remembers how long they waited.
func (s *server) handler(sleep time.Duration) func(args) {
	return func(job args) {
		now := time.Now().UnixMicro()
		s.last.Store(now)
		if n := s.ran.Add(1); n <= latenciesKept {
			s.latencies[n-1] = float64(now-job.T) / 1000
		}
		if sleep > 0 {
			<-time.After(sleep)
		}
	}
}

// push pushes until ctx ends.
func (s *server) push(ctx context.Context, q request) error {
	var wg sync.WaitGroup
	errs := make([]error, q.Clients)
	for client := range q.Clients {
		wg.Go(func() { errs[client] = s.pushOne(ctx, q, client) })
	}
	wg.Wait()
	return errors.Join(slices.Compact(errs)...)
}

func (s *server) pushOne(ctx context.Context, q request, client int) error {
	var pace <-chan time.Time
	if q.Rate > 0 {
		if !wait(ctx, time.Duration(client)*time.Second/time.Duration(q.Rate)) { // one after the other, not all at once
			return nil
		}
		ticker := time.NewTicker(time.Second * time.Duration(q.Clients) / time.Duration(q.Rate))
		defer ticker.Stop()
		pace = ticker.C
	}
	for ctx.Err() == nil {
		if pace != nil {
			select {
			case <-pace:
			case <-ctx.Done():
				return nil
			}
		}
		for q.Ahead > 0 && int(s.pushed.Load()-s.handled.Load()) >= q.Ahead {
			if !wait(ctx, time.Millisecond) {
				return nil
			}
		}
		// A push that has begun is not interrupted, so that those that are counted are those that are there.
		if err := s.queue.Push(context.WithoutCancel(ctx), newJobs(q.Batch), 0); err != nil {
			return err
		}
		s.pushed.Add(int64(q.Batch))
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// cpuTime is that of this process, in seconds.
func cpuTime() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

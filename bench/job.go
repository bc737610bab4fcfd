package main

import (
	"context"
	"strings"
	"time"
)

// args is the data of every job: 100 bytes of JSON.
type args struct {
	T   int64  `json:"t"` // when it was pushed, in microseconds since 1970
	Pad string `json:"pad"`
}

var pad = strings.Repeat("x", 69)

func (args) JobName() string { return "job" } // for sqlqueue
func (args) Kind() string    { return "job" } // for River

func newJobs(n int) []args {
	jobs := make([]args, n)
	for i := range jobs {
		jobs[i] = args{T: time.Now().UnixMicro(), Pad: pad}
	}
	return jobs
}

// queue is a system that is written in Go, in the process that is measured.
type queue interface {
	// Push stores jobs that are due after delay, several as one batch. It is called by several goroutines.
	Push(ctx context.Context, jobs []args, delay time.Duration) error

	// Work runs jobs until ctx ends, and then writes down those that have ended. Handle may block, and be called by many goroutines.
	Work(ctx context.Context, concurrency int, handle func(args)) error

	Close()
}

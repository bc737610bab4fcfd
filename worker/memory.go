package worker

import (
	"fmt"
	"time"
)

const (
	// memoryEvery is how often the worker looks at the memory that the process uses.
	memoryEvery = 100 * time.Millisecond

	// fetchBytes bounds the payloads of one exchange, where no limit of memory bounds them more.
	fetchBytes = 16 << 20

	// fetchShare is the part of the memory left that the payloads of one exchange may take: each is there several times, as the
	// driver's, the job's, its data's and the handler's.
	fetchShare = 4
)

// memoryUse is the memory that the process uses, against Config.MaxMemory.
type memoryUse struct {
	limit   int64 // bytes; 0: none
	used    int64 // when it was looked at last
	largest int64 // payload that this worker has had
	readAt  time.Time
}

// due reports whether it is time to look.
func (m *memoryUse) due(now time.Time) bool { return m.limit > 0 && now.Sub(m.readAt) >= memoryEvery }

// read looks at the memory, and returns ErrMemory if it is above the limit.
func (m *memoryUse) read(now time.Time) error {
	m.readAt, m.used = now, memory()
	if m.used <= m.limit {
		return nil
	}
	return fmt.Errorf("%w: %d MB are in use, the limit is %d MB", ErrMemory, m.used>>20, m.limit>>20)
}

// left is how much more memory the process may use.
func (m *memoryUse) left() int64 { return max(m.limit-m.used, 0) }

// fetchBytes bounds the payloads of one exchange.
func (m *memoryUse) fetchBytes() int64 {
	if m.limit <= 0 {
		return fetchBytes
	}
	return max(min(m.left()/fetchShare, fetchBytes), 1)
}

// tight reports whether one more job may take more memory than is left. Then there is one at a time. A worker that could not
// run even one would be started again and again, and get nothing done.
func (m *memoryUse) tight() bool { return m.limit > 0 && m.left()/fetchShare < m.largest }

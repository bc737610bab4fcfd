package run

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	mostUnwritten = 1 << 20         // bytes of the log that wait to be written
	logPatience   = 2 * time.Second // how long a worker waits, once, for a log that takes nothing, and at its end for the rest
)

// logWriter writes a worker's log, so that the log neither ends nor stops the worker. Lines that cannot be written, because nobody reads
// them or the disk is full, are dropped and counted; the count is logged when lines can be written again. It is safe for concurrent use.
type logWriter struct {
	to     io.Writer
	escape func(line string) string // for a terminal; nil: lines are written as they are
	logger func(io.Writer) *slog.Logger
	wake   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	text    []byte        // that waits
	lines   int           // of it
	room    chan struct{} // closed when the text is taken
	stalled bool          // it was waited for in vain
	dropped int           // lines
	closed  bool
}

// newLogWriter returns a logWriter, which close ends. The logger is for what it has to say itself.
func newLogWriter(to io.Writer, escape func(string) string, logger func(io.Writer) *slog.Logger) *logWriter {
	l := &logWriter{
		to: to, escape: escape, logger: logger,
		wake: make(chan struct{}, 1), done: make(chan struct{}), room: make(chan struct{}),
	}
	go l.run()
	return l
}

// Write takes whole lines. It never fails.
func (l *logWriter) Write(p []byte) (int, error) {
	text := p
	if l.escape != nil {
		text = []byte(l.escape(strings.TrimSuffix(string(p), "\n")) + "\n")
	}
	lines := bytes.Count(text, []byte("\n"))
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.fits(text) && !l.closed && !l.stalled {
		l.await(text)
	}
	if l.closed || !l.fits(text) {
		l.dropped += lines
		return len(p), nil
	}
	l.text, l.lines = append(l.text, text...), l.lines+lines
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *logWriter) fits(text []byte) bool {
	return len(l.text) == 0 || len(l.text)+len(text) <= mostUnwritten
}

// await waits until the text fits. When that takes too long, nobody waits again before something was written. It is called with mu locked.
func (l *logWriter) await(text []byte) {
	timer := time.NewTimer(logPatience)
	defer timer.Stop()
	for !l.fits(text) && !l.closed && !l.stalled {
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
			l.mu.Lock()
		case <-timer.C:
			l.mu.Lock()
			l.stalled = true
		}
	}
}

func (l *logWriter) run() {
	defer close(l.done)
	for range l.wake {
		for l.writeSome() {
		}
	}
	l.writeSome()
}

// writeSome writes what waits, and returns false when there was nothing.
func (l *logWriter) writeSome() bool {
	l.mu.Lock()
	text, lines := l.text, l.lines
	l.text, l.lines = nil, 0
	close(l.room)
	l.room = make(chan struct{})
	l.mu.Unlock()
	if lines == 0 {
		return false
	}
	_, err := l.to.Write(text)
	l.mu.Lock()
	l.stalled = false
	lost := l.dropped
	if err != nil {
		l.dropped, lost = l.dropped+lines, 0
	} else {
		l.dropped = 0
	}
	l.mu.Unlock()
	if lost > 0 {
		l.logger(l.to).Warn("lines of the log could not be written and are lost", "lines", lost)
	}
	return true
}

// close writes the rest, as far as it is taken soon.
func (l *logWriter) close() {
	l.mu.Lock()
	l.closed = true
	close(l.wake)
	l.mu.Unlock()
	select {
	case <-l.done:
	case <-time.After(logPatience):
	}
}

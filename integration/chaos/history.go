package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// What of an Event. The names stand in the files.
const (
	// Of producers, about a token.
	Committed  = "committed"   // the push was answered, or its transaction was
	RolledBack = "rolled-back" // the push's transaction was rolled back
	Refused    = "refused"     // the push's error says that nothing was written
	Unknown    = "unknown"     // the push's error says that it is not known

	// Of workers, about a run.
	Begun    = "begun"    // the handler begins
	Returned = "returned" // the handler returns

	// Of workers, about what is in the database now.
	Done     = "done"     // the job is gone
	Released = "released" // the job waits again
	Failed   = "failed"   // the job has failed for good
	Lost     = "lost"     // the reservation was another's, and nothing was written
)

// Event is a line of the history.
type Event struct {
	At      int64 // nanoseconds of the host's monotonic clock
	What    string
	Kind    string // the job's name
	Token   string // names what was pushed; one word
	Job     int64  // 0: not known
	Attempt int
}

// Journal is a file of the history. It is safe for concurrent use.
type Journal struct {
	mu   sync.Mutex
	file *os.File
}

// Create makes a journal in a directory, with a name of its own.
func Create(dir, who string) (*Journal, error) {
	file, err := os.OpenFile(filepath.Join(dir, fmt.Sprintf("%s-%d-%d.history", who, os.Getpid(), now())),
		os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	return &Journal{file: file}, err
}

// Write adds an event, whose time is now. A line that was written stays, whatever becomes of the process.
func (j *Journal) Write(e Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, err := fmt.Fprintln(j.file, now(), e.What, e.Kind, e.Token, e.Job, e.Attempt)
	return err
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// now is the clock that no fault sets.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // it is always there
	}
	return t.Nano()
}

// Read returns the events of all journals in a directory, in their order.
func Read(dir string) ([]Event, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.history"))
	if err != nil {
		return nil, err
	}
	var events []Event
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		of, err := parse(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		events = append(events, of...)
	}
	slices.SortStableFunc(events, func(a, b Event) int { return int(a.At - b.At) })
	return events, nil
}

// parse reads a journal. Its last line may be cut.
func parse(r io.Reader) (events []Event, err error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, err
		}
		var e Event
		if _, err := fmt.Sscan(strings.TrimSpace(line), &e.At, &e.What, &e.Kind, &e.Token, &e.Job, &e.Attempt); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		events = append(events, e)
	}
}

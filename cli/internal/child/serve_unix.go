//go:build unix

package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
)

// control is this process's end of the socket if it is a Pool's child, or nil. From the first call on, what this process starts inherits
// neither the socket nor the variable.
var control = sync.OnceValue(takeControl)

func takeControl() *os.File {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return nil
	}
	_ = os.Unsetenv(variable) // fails for a malformed name only
	fd, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil
	}
	syscall.CloseOnExec(int(fd))
	return os.NewFile(uintptr(fd), "socket")
}

// Serves reports whether this process is a Pool's child, which is to call Serve. A program asks it before it starts anything.
func Serves() bool { return control() != nil }

// Serve answers the Pool's requests, one at a time, until the Pool wants no more. The context of answer ends with an error of the same
// text as that of Pool.Call. TERM, INT, QUIT and HUP are for the parent, and do nothing here from now on.
func Serve(ctx context.Context, answer func(ctx context.Context, request []byte) []byte) error {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP} {
		if !signal.Ignored(s) { // what is ignored stays so in what the jobs start
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	conn, err := supervise.Socket(control())
	if err != nil {
		return fmt.Errorf("%s is internal: %w", variable, err)
	}
	defer conn.Close()
	s := &serving{encoder: json.NewEncoder(conn), end: func(error) {}}
	decoder := json.NewDecoder(conn)
	for {
		var m message
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if m.End != "" {
			s.endJob(m.Job, errors.New(m.End))
			continue
		}
		s.begin(context.WithoutCancel(ctx), m, answer)
	}
}

// serving is the job that a child runs.
type serving struct {
	encoder *json.Encoder // one goroutine's at a time, as the parent waits for the answer

	mu  sync.Mutex
	job int
	end context.CancelCauseFunc
}

func (s *serving) begin(ctx context.Context, m message, answer func(context.Context, []byte) []byte) {
	ctx, end := context.WithCancelCause(ctx)
	s.mu.Lock()
	s.job, s.end = m.Job, end
	s.mu.Unlock()
	_ = s.encoder.Encode(message{Job: m.Job, Started: true}) // a parent that has gone is noticed by whoever reads
	go func() {
		defer end(nil)
		_ = s.encoder.Encode(message{Job: m.Job, Answer: answer(ctx, m.Request)})
	}()
}

// endJob ends the context of a job, unless that is over.
func (s *serving) endJob(job int, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.job == job {
		s.end(cause)
	}
}

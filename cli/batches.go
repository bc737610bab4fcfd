package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

var errInterrupted = errors.New("interrupted")

// inBatches runs work that changes rows, batch by batch, and tells of each how many it has been until then. They are shown on a terminal,
// out of all of them if that is known. INT, TERM and HUP end the work after the batch that has begun: then the error is errInterrupted.
// A second signal, a second later, ends the program.
func inBatches(cmd *cobra.Command, did, noun, all string, work func(ctx context.Context, progress func(n int)) (int, error)) (int, error) {
	heeded := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		heeded = append(heeded, syscall.SIGHUP)
	}
	signalled, stop := signal.NotifyContext(cmd.Context(), heeded...)
	defer stop()
	context.AfterFunc(signalled, func() { time.AfterFunc(time.Second, stop) }) // what comes within a second is the same signal, forwarded
	ctx, end := context.WithCancelCause(cmd.Context())
	defer end(nil)

	var done atomic.Int64
	began := time.Now()
	stopShowing := term.ShowLine(cmd.ErrOrStderr(), func() string {
		n := int(done.Load())
		line := did + " " + term.Count(n, noun)
		if all != "" {
			line = fmt.Sprintf("%s %d of %s", did, n, all)
		}
		line += fmt.Sprintf(", %.0f/s", float64(n)/time.Since(began).Seconds())
		if signalled.Err() != nil {
			line += ", ending"
		}
		return line
	})
	n, err := work(ctx, func(n int) {
		done.Store(int64(n))
		if signalled.Err() != nil {
			end(errInterrupted)
		}
	})
	stopShowing()
	if err != nil && errors.Is(context.Cause(ctx), errInterrupted) {
		err = errInterrupted
	}
	return n, err
}

// reportCount prints how many rows were changed, also before an error.
func reportCount(cmd *cobra.Command, did string, n int, noun string, err error) error {
	if errors.Is(err, errInterrupted) {
		return fmt.Errorf("%w: %s %s", err, did, term.Count(n, noun))
	}
	if n > 0 || err == nil {
		if _, printError := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", did, term.Count(n, noun)); printError != nil {
			return printError
		}
	}
	return err
}

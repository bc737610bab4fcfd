package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/worker"
)

// The jobs of the demo.
type (
	sendInvoice struct {
		OrderID int64 `json:"order_id"`
	}
	orderPaid struct {
		OrderID int64 `json:"order_id"`
	}
	remind   struct{}
	flaky    struct{} // fails twice, then it goes well
	hopeless struct{}
	ping     struct{}
	export   struct{} // is killed in the middle of its first run
)

func (sendInvoice) JobName() string { return "send_invoice" }
func (orderPaid) JobName() string   { return "order_paid" }
func (remind) JobName() string      { return "remind" }
func (flaky) JobName() string       { return "flaky" }
func (hopeless) JobName() string    { return "hopeless" }
func (ping) JobName() string        { return "ping" }
func (export) JobName() string      { return "export" }

const (
	demoExpire = time.Second
	flakyFails = 2
)

var demoQueues = []string{"default", "mail", "sms", "chat", "bulk"}

// demoWorkerCommand is the process that demo starts, and kills. On standard output it tells of each run that starts and ends.
func demoWorkerCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "The worker of the demo",
		Hidden: true,
		Args:   between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			go func() { // the demo itself is gone when this pipe closes
				_, _ = io.Copy(io.Discard, cmd.InOrStdin())
				stop()
			}()
			d, err := e.open(false)
			if err != nil {
				return err
			}
			defer d.Close()
			return worker.New(d.Queue, demoMux(&lockedWriter{w: cmd.OutOrStdout()}), worker.Config{
				Queues:      demoQueues,
				Concurrency: 100,
				Expire:      demoExpire,
				Backoff:     worker.FixedBackoff(100 * time.Millisecond),
				Logger:      slog.New(slog.DiscardHandler),
			}).Run(ctx)
		},
	}
}

func demoMux(out io.Writer) *worker.Mux {
	mux := worker.NewMux()
	worker.Handle(mux, handleDemo(out, func(context.Context, *worker.Job[sendInvoice]) error { return nil }))
	worker.Handle(mux, handleDemo(out, func(context.Context, *worker.Job[orderPaid]) error { return nil }))
	worker.Handle(mux, handleDemo(out, func(context.Context, *worker.Job[remind]) error { return nil }))
	worker.Handle(mux, handleDemo(out, func(context.Context, *worker.Job[ping]) error { return nil }))
	worker.Handle(mux, handleDemo(out, func(_ context.Context, job *worker.Job[flaky]) error {
		if job.Attempts <= flakyFails {
			return errors.New("the mail server is busy")
		}
		return nil
	}))
	worker.Handle(mux, handleDemo(out, func(context.Context, *worker.Job[hopeless]) error {
		return errors.New("no such address")
	}))
	worker.Handle(mux, handleDemo(out, func(ctx context.Context, job *worker.Job[export]) error {
		if job.Attempts == 1 {
			<-ctx.Done() // as long as it takes to be killed
		}
		return ctx.Err()
	}))
	return mux
}

// handleDemo tells of a run before and after handle, of the many small ones only after.
func handleDemo[T any](out io.Writer, handle func(context.Context, *worker.Job[T]) error) func(context.Context, *worker.Job[T]) error {
	return func(ctx context.Context, job *worker.Job[T]) error {
		if job.Name != (ping{}).JobName() {
			fmt.Fprintln(out, demoRun{"start", job.Name, job.ID, job.Attempts})
		}
		err := handle(ctx, job)
		how := "done"
		if err != nil {
			how = "error"
		}
		fmt.Fprintln(out, demoRun{how, job.Name, job.ID, job.Attempts})
		return err
	}
}

// demoRun is a line that the worker prints.
type demoRun struct {
	what    string // start, done or error
	name    string
	id      int64
	attempt int
}

func (r demoRun) String() string { return fmt.Sprint(r.what, " ", r.name, " ", r.id, " ", r.attempt) }

func parseDemoRun(line string) (r demoRun, err error) {
	_, err = fmt.Sscan(line, &r.what, &r.name, &r.id, &r.attempt)
	return r, err
}

// lockedWriter lets several goroutines write whole lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

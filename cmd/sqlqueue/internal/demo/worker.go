package demo

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
	expire     = time.Second
	flakyFails = 2
)

var queues = []string{"default", "mail", "sms", "chat", "bulk"}

// workerCommand is the process that demo starts, and kills. On standard output it tells of each run that starts and ends.
func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "worker FILE",
		Short:  "The worker of the demo",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			go func() { // the demo itself is gone when this pipe closes
				_, _ = io.Copy(io.Discard, cmd.InOrStdin())
				stop()
			}()
			db, queue, err := open(args[0])
			if err != nil {
				return err
			}
			defer func() { _ = db.Close() }()
			return worker.New(queue, mux(&lockedWriter{w: cmd.OutOrStdout()}), worker.Config{
				Queues:      queues,
				Concurrency: 100,
				Expire:      expire,
				Backoff:     worker.FixedBackoff(100 * time.Millisecond),
				Logger:      slog.New(slog.DiscardHandler),
			}).Run(ctx)
		},
	}
}

func mux(out io.Writer) *worker.Mux {
	mux := worker.NewMux()
	worker.Handle(mux, handle(out, func(context.Context, *worker.Job[sendInvoice]) error { return nil }))
	worker.Handle(mux, handle(out, func(context.Context, *worker.Job[orderPaid]) error { return nil }))
	worker.Handle(mux, handle(out, func(context.Context, *worker.Job[remind]) error { return nil }))
	worker.Handle(mux, handle(out, func(context.Context, *worker.Job[ping]) error { return nil }))
	worker.Handle(mux, handle(out, func(_ context.Context, job *worker.Job[flaky]) error {
		if job.Attempts <= flakyFails {
			return errors.New("the mail server is busy")
		}
		return nil
	}))
	worker.Handle(mux, handle(out, func(context.Context, *worker.Job[hopeless]) error {
		return errors.New("no such address")
	}))
	worker.Handle(mux, handle(out, func(ctx context.Context, job *worker.Job[export]) error {
		if job.Attempts == 1 {
			<-ctx.Done() // as long as it takes to be killed
		}
		return ctx.Err()
	}))
	return mux
}

// handle tells of a run before and after handle, of the many small ones only after.
func handle[T any](out io.Writer, handle func(context.Context, *worker.Job[T]) error) func(context.Context, *worker.Job[T]) error {
	return func(ctx context.Context, job *worker.Job[T]) error {
		if job.Name != (ping{}).JobName() {
			fmt.Fprintln(out, run{"start", job.Name, job.ID, job.Attempts})
		}
		err := handle(ctx, job)
		how := "done"
		if err != nil {
			how = "error"
		}
		fmt.Fprintln(out, run{how, job.Name, job.ID, job.Attempts})
		return err
	}
}

// run is a line that the worker prints.
type run struct {
	what    string // start, done or error
	name    string
	id      int64
	attempt int
}

func (r run) String() string { return fmt.Sprint(r.what, " ", r.name, " ", r.id, " ", r.attempt) }

func parseRun(line string) (r run, err error) {
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

package cli_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sqlqueue/sqlqueue/cli"
	"github.com/sqlqueue/sqlqueue/worker"
)

type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

func (SendInvoice) JobName() string { return "send_invoice" }

// The whole command tree with an application's handlers. A main function ends with os.Exit(cli.Main(ctx, os.Args[1:], options)).
func Example() {
	dir, err := os.MkdirTemp("", "shop-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	shop := func(args ...string) {
		mux := worker.NewMux()
		worker.Handle(mux, func(_ context.Context, job *worker.Job[SendInvoice]) error {
			fmt.Println("invoice for order", job.Data.OrderID)
			return nil
		})
		options := cli.Options{
			Name:   "shop",
			Mux:    mux,
			DSN:    "sqlite:" + filepath.Join(dir, "shop.db"),
			Worker: worker.Config{MaxMemory: 1 << 40}, // this process also runs the tests
		}
		if code := cli.Main(context.Background(), args, options); code != 0 {
			panic(code)
		}
	}
	shop("migrate", "up")
	shop("push", "send_invoice", `{"order_id":42}`)
	shop("work", "--once")
	// Output:
	// applied 1 create_jobs
	// applied 2 unique_until
	// applied 3 create_job_batches
	// applied 4 limits
	// applied 5 create_job_schedules
	// applied 6 add_vitals_errors_operations
	// applied 7 create_job_finished
	// applied 8 create_job_names_sizes
	// 1
	// invoice for order 42
}

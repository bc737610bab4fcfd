package main

import (
	"context"
	"fmt"
	"os"

	"github.com/sqlqueue/sqlqueue/cli"
	"github.com/sqlqueue/sqlqueue/worker"
)

type SendInvoice struct{ OrderID int64 }

func (SendInvoice) JobName() string { return "send_invoice" } // stored with each job: do not rename it

func main() {
	mux := worker.NewMux()
	worker.Handle(mux, func(ctx context.Context, job *worker.Job[SendInvoice]) error {
		fmt.Println("invoice for order", job.Data.OrderID)
		return nil // done; after an error the job runs again later
	})
	os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Options{Name: "shop", Mux: mux}))
}

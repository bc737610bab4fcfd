package cli

import (
	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// Options is what an application gives to its command tree. The zero value makes the stock binary, but for its demo.
type Options struct {
	// Name is what help and errors call the program. Default "sqlqueue".
	Name string

	// Mux has the application's handlers, which work runs. Default nil: work then needs --exec, --handlers or
	// subscriptions.
	Mux *worker.Mux

	// DSN is the address of the database where neither --dsn nor SQLQUEUE_DSN nor a file gives one. Default: that of DATABASE_URL, or
	// else "sqlite:sqlqueue.db".
	DSN string

	// Config is the queue's. Its Prefix holds where neither --prefix nor SQLQUEUE_PREFIX gives one, its Schema where neither --schema nor
	// SQLQUEUE_SCHEMA does, its Queue where neither --queue nor SQLQUEUE_QUEUE does.
	Config sqlqueue.Config

	// Worker has the worker's settings where flags give none.
	Worker worker.Config

	// Commands returns commands that stand beside these in the tree. They take no settings. It makes new ones whenever it is called.
	Commands func() []*cobra.Command
}

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

const batchesLong = `A batch is a queue that ends: it pushes a job when all its jobs are done, or when one has failed. Its jobs go to the
queue NAME/bID, which a worker must serve. Pause, clear, failed and retry work with that queue as with any other.`

func batchesCommand(e *env) *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "batches",
		Short: "Create, list and cancel batches",
		Long:  batchesLong,
		Example: `  id=$(sqlqueue batches create import)
  sqlqueue batches push $id import_row '{"row":1}'
  sqlqueue batches seal $id --on-success '{"job":"report","queue":"mail"}'
  sqlqueue batches show $id`,
	}, batchesListCommand(e), batchesShowCommand(e), batchesCreateCommand(e), batchesPushCommand(e), batchesSealCommand(e),
		batchesCancelCommand(e))
	return cmd
}

func batchID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, exit.Usagef("ID is %.40q: it must be a batch's number, as shown by batches list", text)
	}
	return id, nil
}

func batchesListCommand(e *env) *cobra.Command {
	var asJSON bool
	limit := 100
	cmd := &cobra.Command{
		Use:     "list",
		Example: `  sqlqueue batches list --limit 10`,
		Short:   "List the newest batches",
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				batches, err := o.Batches(cmd.Context(), 0, limit)
				if err != nil {
					return err
				}
				return printBatches(cmd, o, batches, asJSON)
			})
		},
	}
	cmd.Flags().Var(settings.Counter(&limit, 1), "limit", "how many at most, up to 1000")
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

func printBatches(cmd *cobra.Command, o *operator.Operator, batches []operator.Batch, asJSON bool) error {
	if asJSON {
		return term.WriteArray(cmd.OutOrStdout(), batches)
	}
	now, err := o.Now(cmd.Context())
	if err != nil {
		return err
	}
	return batchTable(batches, now).Print(cmd.OutOrStdout())
}

func batchTable(batches []operator.Batch, now time.Time) *term.Grid {
	t := term.NewGrid(term.Number("ID"), term.Text("QUEUE", 40), term.Word("STATE"), term.Number("TOTAL"), term.Number("WAITING"),
		term.Number("RUNNING"), term.Number("FAILED"), term.Number("DONE"), term.Spare(term.Word("CREATED")))
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, b := range batches {
		t.Add(number(b.ID), b.Queue, b.State(), number(b.Total), number(b.Waiting), number(b.Running), number(b.Failed), number(b.Done),
			term.Ago(b.CreatedAt, now))
	}
	return t
}

func batchesShowCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "show ID",
		Example: `  sqlqueue batches show 7`,
		Short:   "Show the progress of a batch",
		Args:    between(1, 1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := batchID(args[0])
			if err != nil {
				return err
			}
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				b, err := o.Batch(cmd.Context(), id)
				if err != nil {
					return err
				}
				if asJSON {
					return term.WriteJSON(cmd.OutOrStdout(), b)
				}
				return printBatches(cmd, o, []operator.Batch{b}, false)
			})
		},
	}
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

func batchesCreateCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "create NAME",
		Example: `  sqlqueue batches create import`,
		Short:   "Create a batch and print its id",
		Args:    between(1, 1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				id, err := o.Queue().Batch(args[0]).Create(cmd.Context())
				return printID(cmd.OutOrStdout(), id, err)
			})
		},
	}
}

func printID(w io.Writer, id int64, err error) error {
	if err == nil {
		_, err = fmt.Fprintln(w, id)
	}
	return err
}

func batchesPushCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "push ID NAME [DATA]",
		Example: `  sqlqueue batches push 7 import_row '{"row":1}'`,
		Short:   "Push a job into a batch and print its id",
		Long: "Push a job for the handler NAME into a batch and print its id. DATA is a JSON value: an argument, @FILE, or - for\n" +
			"standard input. The default is {}.",
		Args: between(2, 3, "ID", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := batchID(args[0])
			if err != nil {
				return err
			}
			data := []byte("{}")
			if len(args) > 2 {
				if data, err = settings.ReadData(args[2], cmd.InOrStdin()); err != nil {
					return err
				}
			}
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				ids, err := o.Queue().BatchOf(id).Push(cmd.Context(), sqlqueue.Named(args[1], json.RawMessage(data)))
				if err != nil {
					return err
				}
				return printID(cmd.OutOrStdout(), ids[0], nil)
			})
		},
	}
}

func batchesSealCommand(e *env) *cobra.Command {
	on := [3]string{}
	cmd := &cobra.Command{
		Use:     "seal ID",
		Example: `  sqlqueue batches seal 7 --on-success '{"job":"report"}'`,
		Short:   "Seal a batch when all its jobs are pushed, and set its callbacks",
		Long: "Seal a batch when all its jobs are pushed, and set its callbacks. A callback is a job such as\n" +
			`{"job":"report","data":{},"queue":"mail"}: an argument, @FILE, or - for standard input. Without a queue it goes to --queue.`,
		Args: between(1, 1, "ID"),
	}
	queues := []string{e.settings.Queue}
	settings.QueueFlag(cmd, &queues, "queue of callbacks without a queue (environment: SQLQUEUE_QUEUE)")
	cmd.Flags().StringVar(&on[0], "on-success", "", "job to push once when all jobs are done, also after a retry")
	cmd.Flags().StringVar(&on[1], "on-finish", "", "job to push once when no job waits or runs any more")
	cmd.Flags().StringVar(&on[2], "on-failure", "", "job to push once when the first job has failed for good")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := batchID(args[0])
		if err != nil {
			return err
		}
		var callbacks []sqlqueue.Callback
		for i, make := range []func(sqlqueue.Pushable) sqlqueue.Callback{sqlqueue.OnSuccess, sqlqueue.OnFinish, sqlqueue.OnFailure} {
			if on[i] == "" {
				continue
			}
			text, err := settings.ReadData(on[i], cmd.InOrStdin())
			if err != nil {
				return err
			}
			next, err := sqlqueue.ParseNext(text)
			if err != nil {
				return exit.Usagef("a callback: %w", err)
			}
			if len(next) != 1 {
				return exit.Usagef("a callback is one job such as {\"job\":\"report\"}; put more jobs into its then")
			}
			if next[0].Queue == "" {
				next[0].Queue = queues[0]
			}
			callbacks = append(callbacks, make(next[0]))
		}
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			_, err := o.Queue().BatchOf(id).Seal(cmd.Context(), callbacks...)
			return err
		})
	}
	return cmd
}

func batchesCancelCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "cancel ID",
		Example: `  sqlqueue batches cancel 7`,
		Short:   "Cancel a batch: delete its waiting jobs, and push no callbacks",
		Args:    between(1, 1, "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := batchID(args[0])
			if err != nil {
				return err
			}
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				n, err := o.CancelBatch(cmd.Context(), id)
				if err == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "deleted %s\n", term.Count(n, "job"))
				}
				return err
			})
		},
	}
}

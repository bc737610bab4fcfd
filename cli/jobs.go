package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func jobsCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "jobs",
		Short: "List, show, cancel, edit and release jobs",
		Example: `  sqlqueue jobs list --state reserved
  sqlqueue jobs show 42
  sqlqueue jobs cancel --queue mail --older-than 1d --dry-run`,
	},
		jobsListCommand(e),
		jobsShowCommand(e),
		jobsCancelCommand(e),
		jobsRestoreCommand(e),
		jobsEditCommand(e),
		jobsReleaseCommand(e),
	)
}

func jobsListCommand(e *env) *cobra.Command {
	var asJSON bool
	limit, after := 100, 0
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List jobs, the oldest first",
		Long: "List jobs, the oldest first. --state done lists jobs that are done and kept, the latest first: see keep.\n\n" +
			jobFilterLong,
		Example: `  sqlqueue jobs list --state reserved
  sqlqueue jobs list --queue mail --name send_invoice --older-than 1d --limit 20
  sqlqueue jobs list --field customer.id=42
  sqlqueue jobs list --state done --queue reports
  sqlqueue jobs list --json | jq '.[].payload.data'`,
		Args: between(0, 0),
	}
	flags := addJobFilter(cmd)
	flags.done = true
	cmd.Flags().Lookup("state").Usage = "only jobs that are ready, delayed, reserved or done"
	cmd.Flags().Var(settings.Counter(&after, 0), "after",
		"only jobs with greater ids, to get the next page; for done jobs, the number that is printed")
	cmd.Flags().Var(settings.Counter(&limit, 1), "limit", "how many at most")
	settings.JSONFlag(cmd, &asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.check(); err != nil {
			return err
		}
		if flags.state == stateDone {
			return listFinished(e, cmd, flags, limit, after, asJSON)
		}
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			filter, err := flags.of(cmd.Context(), o)
			if err != nil {
				return err
			}
			filter.After = int64(after)
			filter.PayloadMax = operator.StartOfPayload
			stop := term.ShowLine(cmd.ErrOrStderr(), func() string { return "searching" })
			jobs, more, err := o.SearchJobs(cmd.Context(), filter, limit)
			stop()
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJobs(cmd.Context(), cmd.OutOrStdout(), o, jobs)
			} else {
				err = jobTable(jobs, time.Now()).Print(cmd.OutOrStdout())
			}
			if says := moreSays[more]; says != "" && err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: --limit, or --after %d\n", says, jobs[len(jobs)-1].ID)
			}
			return err
		})
	}
	return cmd
}

var moreSays = map[operator.More]string{operator.MaybeMore: "there can be more", operator.HasMore: "there are more"}

// writeJobs prints an array of jobs that were found: see writeRows.
func writeJobs(ctx context.Context, w io.Writer, o *operator.Operator, jobs []sqlqueue.Job) error {
	return writeRows(w, jobs, func(j sqlqueue.Job) (sqlqueue.Job, error) {
		var err error
		if operator.IsCut(j.Payload) {
			j, err = o.Job(ctx, j.ID)
		}
		j.Payload = operator.Encodable(j.Payload)
		return j, err
	})
}

func jobTable(jobs []sqlqueue.Job, now time.Time) *term.Grid {
	t := term.NewGrid(term.Number("ID"), term.Text("QUEUE", 30), term.Word("STATE"), term.Text("NAME", 30),
		term.Spare(term.Number("ATTEMPTS")), term.Spare(term.Number("PRIORITY")),
		term.Word("AVAILABLE"), term.Word("CREATED"), term.Text("DATA", 60))
	for _, j := range jobs {
		name, data := operator.NameAndData(j.Payload)
		t.Add(strconv.FormatInt(j.ID, 10), j.Queue, string(operator.StateOf(j, now)), name, strconv.Itoa(j.Attempts),
			strconv.Itoa(int(j.Priority)), term.Ago(j.AvailableAt, now), term.Ago(j.CreatedAt, now), data)
	}
	return t
}

func jobsShowCommand(e *env) *cobra.Command {
	find := func(o *operator.Operator, ctx context.Context, id int64) (shownJob, error) {
		return findJob(ctx, o, id)
	}
	return showCommand(e, "Show a job in full, also one that is done and kept", `  sqlqueue jobs show 42 --json`, find, showJob)
}

func showJob(w io.Writer, j shownJob, now time.Time) error {
	if j.finished != nil {
		return showFinished(w, *j.finished, now)
	}
	name, _ := operator.NameAndData(j.Payload)
	rows := [][]string{
		{"id", strconv.FormatInt(j.ID, 10)},
		{"queue", term.Printable(j.Queue)},
		{"name", term.Printable(name)},
		{"state", string(operator.StateOf(j.Job, now))},
		{"attempts", strconv.Itoa(j.Attempts)},
		{"priority", strconv.Itoa(int(j.Priority))},
		{"available", term.Timestamp(j.AvailableAt, now)},
		{"created", term.Timestamp(j.CreatedAt, now)},
	}
	if j.UniqueKey != "" {
		rows = append(rows, []string{"unique key", term.Printable(j.UniqueKey)})
	}
	if j.Reserved {
		expires := term.Timestamp(j.ExpiresAt, now)
		if j.ExpiresAt.IsZero() {
			expires = "never"
		}
		rows = append(rows,
			[]string{"reserved", term.Timestamp(j.ReservedAt, now)},
			[]string{"reserved by", term.Printable(j.ReservedBy)},
			[]string{"expires", expires})
	}
	if j.Progress != nil {
		rows = append(rows, []string{"progress", progressText(*j.Progress)})
	}
	if err := term.Fields(w, rows); err != nil {
		return err
	}
	return showPayload(w, j.Payload)
}

func jobsEditCommand(e *env) *cobra.Command {
	var at time.Time
	var priorityNumber int
	var name, data string
	cmd := &cobra.Command{
		Use:   "edit ID",
		Short: "Change a job that no worker has",
		Example: `  sqlqueue jobs edit 42 --queue slow --priority 10
  sqlqueue jobs edit 42 --at '2030-01-01 06:00' --data '{"order_id":43}'`,
		Args: between(1, 1, "ID"),
	}
	queue := settings.OneQueueFlag(cmd, "move the job to this queue")
	cmd.Flags().Var(settings.Moment(&at), "at", "when the job is available")
	cmd.Flags().Var(settings.Priority(&priorityNumber), "priority", "-32768 to 32767; smaller runs first")
	cmd.Flags().StringVar(&data, "data", "", "the job's new data: JSON, @FILE, or - for standard input")
	cmd.Flags().StringVar(&name, "name", "", "the handler that is to run it")
	cmd.Flags().Lookup("priority").DefValue = ""
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := settings.ParseIDs(args)
		if err != nil {
			return err
		}
		var edit operator.JobEdit
		changed := cmd.Flags().Changed
		if changed("queue") {
			name := queue()
			edit.Queue = &name
		}
		if changed("at") {
			edit.At = &at
		}
		if changed("priority") {
			edit.Priority = &priorityNumber
		}
		if changed("name") {
			if name == "" {
				return exit.Usagef("--name is empty: it finds the handler")
			}
			edit.Name = &name
		}
		if changed("data") {
			value, err := settings.ReadData(data, cmd.InOrStdin())
			if err != nil {
				return err
			}
			edit.Data = value
		}
		if !slices.ContainsFunc([]string{"queue", "at", "priority", "name", "data"}, changed) {
			return exit.Usagef("nothing to change: give --queue, --at, --priority, --name or --data")
		}
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			if err := o.Edit(cmd.Context(), ids[0], edit); err != nil {
				return err
			}
			return reportCount(cmd, "changed", 1, "job", nil)
		})
	}
	return cmd
}

package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func failedCommand(e *env) *cobra.Command {
	cmd := group(&cobra.Command{}, failedListCommand(e), failedShowCommand(e))
	listFailed(e, cmd)
	cmd.Use = "failed"
	cmd.Short = "List and show failed jobs"
	cmd.Example = `  sqlqueue failed --queue mail
  sqlqueue failed --group
  sqlqueue failed --error 'connection*refused' --older-than 1d
  sqlqueue failed show 7`
	cmd.Long = "List failed jobs, the newest first (as failed list does), or show one.\n\n" + failedLong
	return cmd
}

const failedLong = `With --group it counts the newest 10,000 by queue, handler and error. ` +
	`Errors are grouped if they differ only in words with digits,
such as ids, times and addresses. These are shown as *, but a status is kept (HTTP 404, exit status 1). --error takes an error of a group
in this form.

retry and forget take the failed job's own id, in the first column, not the id that it had as a job.`

func failedListCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List failed jobs, the newest first",
		Long:  "List failed jobs, the newest first.\n\n" + failedLong,
		Example: `  sqlqueue failed list --queue mail
  sqlqueue failed list --group --older-than 1d
  sqlqueue failed list --json | jq '.[].error'`,
		Args: between(0, 0),
	}
	listFailed(e, cmd)
	return cmd
}

// listFailed makes cmd list failed jobs.
func listFailed(e *env, cmd *cobra.Command) {
	var grouped, asJSON bool
	limit, before := 100, 0
	flags := addFailedFilter(cmd, "")
	cmd.Flags().BoolVar(&grouped, "group", false, "count the jobs of one queue and handler whose errors are alike, the most frequent first")
	cmd.Flags().Var(settings.Counter(&before, 0), "before", "only failed jobs with smaller ids, to get the next page")
	cmd.Flags().Var(settings.Counter(&limit, 1), "limit", "how many at most")
	settings.JSONFlag(cmd, &asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter, err := flags.of()
		if err != nil {
			return err
		}
		filter.Before = int64(before)
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			if grouped {
				return listGroups(cmd, o, filter, limit, asJSON)
			}
			filter.TextMax = operator.StartOfPayload
			jobs, more, err := o.SearchFailed(cmd.Context(), filter, limit)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeFailed(cmd.Context(), cmd.OutOrStdout(), o, jobs)
			} else {
				err = failedTable(jobs, time.Now()).Print(cmd.OutOrStdout())
			}
			if more == operator.HasMore && err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "there are more: --limit, or --before %d\n", jobs[len(jobs)-1].ID)
			}
			return err
		})
	}
}

// writeFailed prints an array of failed jobs: see writeRows.
func writeFailed(ctx context.Context, w io.Writer, o *operator.Operator, jobs []operator.FailedJob) error {
	return writeRows(w, jobs, func(j operator.FailedJob) (operator.FailedJob, error) {
		var err error
		if operator.IsCut(j.Payload) || operator.IsCut([]byte(j.Error)) || operator.IsCut([]byte(j.Stack)) {
			j, err = o.FailedJob(ctx, j.ID)
		}
		j.Payload = operator.Encodable(j.Payload)
		return j, err
	})
}

func listGroups(cmd *cobra.Command, o *operator.Operator, filter operator.FailedFilter, limit int, asJSON bool) error {
	groups, err := o.FailedGroups(cmd.Context(), filter, term.CountedTo)
	if err != nil {
		return err
	}
	var jobs int64
	for _, g := range groups {
		jobs += g.Count
	}
	shown := groups[:min(len(groups), limit)]
	if asJSON {
		err = term.WriteArray(cmd.OutOrStdout(), shown)
	} else {
		err = groupTable(shown, time.Now()).Print(cmd.OutOrStdout())
	}
	if jobs >= term.CountedTo && err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "there are more failed jobs: these groups are of the newest %d\n", term.CountedTo)
	}
	if more := len(groups) - limit; more > 0 && err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "there are %s more: --limit\n", term.Count(more, "group"))
	}
	return err
}

func failedTable(jobs []operator.FailedJob, now time.Time) *term.Grid {
	t := term.NewGrid(term.Number("ID"), term.Spare(term.Number("JOB")), term.Text("QUEUE", 30), term.Text("NAME", 30),
		term.Spare(term.Number("ATTEMPTS")), term.Word("FAILED"), term.Text("ERROR", 80))
	for _, j := range jobs {
		name, _ := operator.NameAndData(j.Payload)
		t.Add(strconv.FormatInt(j.ID, 10), strconv.FormatInt(j.JobID, 10), j.Queue, name, strconv.Itoa(j.Attempts),
			term.Ago(j.FailedAt, now), strings.TrimSpace(j.Error))
	}
	return t
}

func failedShowCommand(e *env) *cobra.Command {
	return showCommand(e, "Show a failed job in full, with its error and stack", `  sqlqueue failed show 7`,
		(*operator.Operator).FailedJob, showFailed)
}

func showFailed(w io.Writer, j operator.FailedJob, now time.Time) error {
	name, _ := operator.NameAndData(j.Payload)
	rows := [][]string{
		{"id", strconv.FormatInt(j.ID, 10)},
		{"job", strconv.FormatInt(j.JobID, 10)},
		{"queue", term.Printable(j.Queue)},
		{"name", term.Printable(name)},
		{"attempts", strconv.Itoa(j.Attempts)},
		{"priority", strconv.Itoa(int(j.Priority))},
		{"created", term.Timestamp(j.CreatedAt, now)},
		{"failed", term.Timestamp(j.FailedAt, now)},
	}
	if j.UniqueKey != "" {
		rows = append(rows, []string{"unique key", term.Printable(j.UniqueKey)})
	}
	if err := term.Fields(w, rows); err != nil {
		return err
	}
	if err := showPayload(w, j.Payload); err != nil {
		return err
	}
	for _, part := range []struct{ title, text string }{{"error", j.Error}, {"stack", j.Stack}} {
		if text := strings.TrimRight(part.text, "\n"); text != "" {
			indented := "  " + strings.ReplaceAll(term.PrintableLines(strings.ReplaceAll(text, "\t", "    ")), "\n", "\n  ")
			if _, err := fmt.Fprintf(w, "%s\n%s\n", part.title, indented); err != nil {
				return err
			}
		}
	}
	return nil
}

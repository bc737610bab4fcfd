package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func (p *program) failedCommand() *cobra.Command {
	cmd := group(&cobra.Command{}, p.failedListCommand(), p.failedShowCommand())
	p.listFailed(cmd)
	cmd.Use = "failed"
	cmd.Short = "List and show failed jobs"
	cmd.Example = `  sqlqueue failed --queue mail
  sqlqueue failed show 7`
	cmd.Long = "List failed jobs, the newest first (as failed list does), or show one.\n\n" +
		"retry and forget take a failed job's own id, the first column, not the id that it had as a job."
	return cmd
}

func (p *program) failedListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List failed jobs, the newest first",
		Example: `  sqlqueue failed list --queue mail
  sqlqueue failed list --json | jq '.[].error'`,
		Args: between(0, 0),
	}
	p.listFailed(cmd)
	return cmd
}

// listFailed makes cmd list failed jobs.
func (p *program) listFailed(cmd *cobra.Command) {
	var filter sqlqueue.FailedFilter
	var asJSON bool
	limit, before := 100, 0
	queue := oneQueueFlag(cmd, "only jobs of this queue")
	cmd.Flags().StringVar(&filter.Name, "name", "", "only jobs for this handler")
	cmd.Flags().Var(counter{value: &before}, "before", "only failed jobs with smaller ids: for the next page")
	cmd.Flags().Var(counter{&limit, 1}, "limit", "how many at most")
	jsonFlag(cmd, &asJSON)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter.Queue, filter.Before = queue(), int64(before)
		return p.withQueue(cmd.Context(), func(q *sqlqueue.Queue) error {
			jobs, more, err := pages(limit, func(n int) ([]sqlqueue.FailedJob, error) {
				filter.Limit = n
				page, err := q.FailedJobs(cmd.Context(), filter)
				if len(page) > 0 {
					filter.Before = page[len(page)-1].ID
				}
				return page, err
			})
			if err != nil {
				return err
			}
			if more {
				fmt.Fprintf(cmd.ErrOrStderr(), "there are more: --limit, or --before %d\n", jobs[len(jobs)-1].ID)
			}
			if asJSON {
				return writeArray(cmd.OutOrStdout(), jobs)
			}
			return failedTable(cmd.OutOrStdout(), jobs, time.Now())
		})
	}
}

func failedTable(w io.Writer, jobs []sqlqueue.FailedJob, now time.Time) error {
	rows := [][]string{{"ID", "JOB", "QUEUE", "NAME", "ATTEMPTS", "FAILED", "ERROR"}}
	for _, j := range jobs {
		name, _ := nameAndData(j.Payload)
		rows = append(rows, []string{
			strconv.FormatInt(j.ID, 10), strconv.FormatInt(j.JobID, 10), brief(j.Queue, 30), brief(name, 30), strconv.Itoa(j.Attempts),
			ago(j.FailedAt, now), brief(strings.TrimSpace(j.Error), 80),
		})
	}
	return table(w, rows)
}

func (p *program) failedShowCommand() *cobra.Command {
	return showCommand(p, "Show a failed job in full, with its error and stack", `  sqlqueue failed show 7`, (*sqlqueue.Queue).FailedJob, showFailed)
}

func showFailed(w io.Writer, j sqlqueue.FailedJob, now time.Time) error {
	name, _ := nameAndData(j.Payload)
	rows := [][]string{
		{"id", strconv.FormatInt(j.ID, 10)},
		{"job", strconv.FormatInt(j.JobID, 10)},
		{"queue", printable(j.Queue)},
		{"name", printable(name)},
		{"attempts", strconv.Itoa(j.Attempts)},
		{"priority", strconv.Itoa(int(j.Priority))},
		{"created", timestamp(j.CreatedAt, now)},
		{"failed", timestamp(j.FailedAt, now)},
	}
	if j.UniqueKey != "" {
		rows = append(rows, []string{"unique key", printable(j.UniqueKey)})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	if err := showPayload(w, j.Payload); err != nil {
		return err
	}
	for _, part := range []struct{ title, text string }{{"error", j.Error}, {"stack", j.Stack}} {
		if text := strings.TrimRight(part.text, "\n"); text != "" {
			indented := "  " + strings.ReplaceAll(printableLines(strings.ReplaceAll(text, "\t", "    ")), "\n", "\n  ")
			if _, err := fmt.Fprintf(w, "%s\n%s\n", part.title, indented); err != nil {
				return err
			}
		}
	}
	return nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// stateDone is the state of jobs that are done and kept, for jobs list.
const stateDone = "done"

// listFinished lists jobs that are done and kept. After is the number of the last one of the page before.
func listFinished(e *env, cmd *cobra.Command, flags *jobFilter, limit, before int, asJSON bool) error {
	for _, name := range jobFilterNames {
		if flags.cmd.Flags().Changed(name) && name != "queue" && name != "state" && name != "name" {
			return exit.Usagef("--%s is not for finished jobs: use --queue or --name", name)
		}
	}
	if limit > 1000 {
		return exit.Usagef("--limit is %d: at most 1000 finished jobs are listed at once", limit)
	}
	filter := operator.FinishedFilter{
		Queue: flags.queue(), Name: flags.filter.Name, Limit: limit, Before: int64(before), TextMax: operator.StartOfPayload,
	}
	return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
		jobs, err := o.FinishedJobs(cmd.Context(), filter)
		if err != nil {
			return err
		}
		if asJSON {
			err = writeRows(cmd.OutOrStdout(), jobs, func(j operator.FinishedJob) (operator.FinishedJob, error) {
				var err error
				if operator.IsCut(j.Payload) || operator.IsCut(j.Result) {
					j, err = o.FinishedJob(cmd.Context(), j.ID)
				}
				return encodable(j), err
			})
		} else {
			err = finishedTable(jobs, time.Now()).Print(cmd.OutOrStdout())
		}
		if len(jobs) == limit && err == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "there can be more: --limit, or --after %d\n", jobs[len(jobs)-1].Number)
		}
		return err
	})
}

func finishedTable(jobs []operator.FinishedJob, now time.Time) *term.Grid {
	t := term.NewGrid(term.Number("ID"), term.Text("QUEUE", 30), term.Word("STATE"), term.Text("NAME", 30),
		term.Spare(term.Number("ATTEMPTS")), term.Word("FINISHED"), term.Word("TOOK"), term.Text("DATA", 40), term.Text("RESULT", 40))
	for _, j := range jobs {
		_, data := operator.NameAndData(j.Payload)
		t.Add(strconv.FormatInt(j.ID, 10), j.Queue, j.Outcome, j.Name, strconv.Itoa(j.Attempts), term.Ago(j.FinishedAt, now),
			term.Duration(took(j)), data, resultText(j))
	}
	return t
}

func took(j operator.FinishedJob) time.Duration {
	return j.Took().Round(time.Millisecond)
}

func resultText(j operator.FinishedJob) string {
	switch {
	case j.Result == nil:
		return "-"
	case sqlqueue.IsEncrypted(j.Result):
		return "encrypted"
	}
	return string(j.Result)
}

func encodable(j operator.FinishedJob) operator.FinishedJob {
	j.Payload = operator.Encodable(j.Payload)
	if j.Result != nil {
		j.Result = operator.Encodable(j.Result)
	}
	return j
}

// shownJob is a job that jobs show has found.
type shownJob struct {
	sqlqueue.Job
	Progress *driver.Progress `json:"progress,omitempty"`

	finished *operator.FinishedJob // it is done and kept
}

// findJob finds a job, or one that is done and kept.
func findJob(ctx context.Context, o *operator.Operator, id int64) (shownJob, error) {
	j, err := o.Job(ctx, id)
	if errors.Is(err, operator.ErrNotFound) {
		finished, finishedErr := o.FinishedJob(ctx, id)
		if finishedErr == nil {
			return shownJob{finished: &finished}, nil
		}
		if !errors.Is(finishedErr, operator.ErrNotFound) {
			err = finishedErr
		}
	}
	if err != nil || !j.Reserved {
		return shownJob{Job: j}, err
	}
	progress, err := o.Progress(ctx, id)
	shown := shownJob{Job: j}
	if p, ok := progress[id]; ok {
		shown.Progress = &p
	}
	return shown, err
}

func showFinished(w io.Writer, j operator.FinishedJob, now time.Time) error {
	if err := term.Fields(w, [][]string{
		{"id", strconv.FormatInt(j.ID, 10)},
		{"queue", term.Printable(j.Queue)},
		{"name", term.Printable(j.Name)},
		{"state", j.Outcome},
		{"attempts", strconv.Itoa(j.Attempts)},
		{"priority", strconv.Itoa(int(j.Priority))},
		{"created", term.Timestamp(j.CreatedAt, now)},
		{"started", term.Timestamp(j.StartedAt, now)},
		{"finished", term.Timestamp(j.FinishedAt, now)},
		{"took", term.Duration(took(j))},
		{"worker", term.Printable(j.Worker)},
		{"kept until", term.Timestamp(j.KeepUntil, now)},
	}); err != nil {
		return err
	}
	if err := showPayload(w, j.Payload); err != nil || j.Result == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "result\n%s\n", indented(j.Result))
	return err
}

func progressText(p driver.Progress) string {
	text := strconv.FormatFloat(p.Fraction*100, 'f', 0, 64) + " %"
	if p.Text != "" {
		text += ", " + term.Printable(p.Text)
	}
	return text
}

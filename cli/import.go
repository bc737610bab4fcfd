package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/importer"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

func importCommand(e *env) *cobra.Command {
	var s importer.Settings
	var follow bool
	cmd := &cobra.Command{
		Use:   "import SOURCE",
		Short: "Move the jobs of another queue to this one: Laravel's, River's, Solid Queue's and others",
		Long: "Move the waiting jobs from the tables of another queue in the same database:\n" +
			strings.Join(importer.Sources(), ", ") + ".\n" +
			"A thousand are moved in each transaction, so a job is always in one of the two queues. After an interruption, run\n" +
			"it again. The other queue's workers may keep running: jobs that they have reserved are not moved. Data, delays,\n" +
			"attempts and settings such as tries are kept.\n\n" +
			"It first shows what it would move, and asks for confirmation; without a terminal it needs --yes. With --follow it\n" +
			"runs until INT or TERM, for producers that still push into the other queue. Jobs that cannot be converted stay, and\n" +
			"the exit code is then 1.",
		Example: `  sqlqueue import laravel --prefix sq_ --dry-run
  sqlqueue import laravel --prefix sq_ --rename 'App\Jobs\SendInvoice=send_invoice' --queue default=mail
  sqlqueue import think-queue --prefix sq_ --table think_jobs --failed --yes
  sqlqueue import river --follow --yes
  sqlqueue import oban --rename MyApp.SendInvoice=send_invoice --dry-run`,
		Args:              between(1, 1, "SOURCE"),
		ValidArgsFunction: cobra.FixedCompletions(importer.Sources(), cobra.ShellCompDirectiveNoFileComp),
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Table, "table", "", "the other queue's table of jobs, if it does not have the usual name")
	flags.BoolVar(&s.Failed, "failed", false, "move its failed jobs too")
	flags.StringVar(&s.FailedTable, "failed-table", "", "its table of failed jobs, if it does not have the usual name")
	flags.StringToStringVar(&s.Queues, "queue", nil, "put the jobs of a queue into another: OLD=NEW; several with commas, or several times")
	flags.StringToStringVar(&s.Names, "rename", nil,
		"give the jobs of a class or kind another name: OLD=NEW; several with commas, or several times")
	flags.BoolVar(&follow, "follow", false, "keep running, and look for new jobs every second")
	consent := consentFlags(e, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s.Source = args[0]
		if err := consent.possible(cmd); err != nil {
			return err
		}
		return e.withQueue(cmd.Context(), func(*sqlqueue.Queue) error {
			i, err := importer.New(cmd.Context(), e.database, s)
			if err != nil {
				return err
			}
			goOn, err := consent.given(cmd, "import", func() (extent, error) { return importExtent(cmd.Context(), i, follow) })
			if !goOn {
				return err
			}
			if follow {
				return followImport(cmd, i)
			}
			return importAll(cmd, i)
		})
	}
	return cmd
}

// importExtent tells what would be imported.
func importExtent(ctx context.Context, i *importer.Import, follow bool) (extent, error) {
	found, err := i.Look(ctx)
	if err != nil {
		return extent{}, err
	}
	e := extent{n: int(found.Waiting + found.Failed), text: term.Count(int(found.Waiting), "job")}
	if found.Failed > 0 {
		e.text += " and " + term.Count(int(found.Failed), "failed job")
	}
	if follow {
		e.n, e.text = max(e.n, 1), e.text+", and those that are pushed later,"
	}
	t := term.NewGrid(term.Number(""), term.Text("", 40), term.Text("", 60))
	for _, g := range found.Groups {
		t.Add(fmt.Sprint(g.Count), g.Queue, g.Name)
	}
	var b strings.Builder
	_ = t.WriteLines(&b, 0, false)
	if found.Running > 0 {
		fmt.Fprintf(&b, "%s that a worker has: not imported\n", term.Count(int(found.Running), "job"))
	}
	for _, s := range found.Stay {
		fmt.Fprintf(&b, "job %v cannot be converted: %s\n", s.ID, term.Printable(s.Why.Error()))
	}
	e.details = b.String()
	return e, nil
}

func importAll(cmd *cobra.Command, i *importer.Import) error {
	var moved importer.Moved
	_, err := inBatches(cmd, "imported", "job", "", func(ctx context.Context, progress func(int)) (n int, err error) {
		moved, err = i.Run(ctx, progress)
		return moved.Jobs + moved.Failed, err
	})
	return errors.Join(reportCount(cmd, "imported", moved.Jobs+moved.Failed, "job", err), stayed(moved.Stay))
}

// followImport imports every second until a signal, or the end of the command's context.
func followImport(cmd *cobra.Command, i *importer.Import) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	every := time.NewTicker(time.Second)
	defer every.Stop()
	total := 0
	for {
		moved, err := i.Run(ctx, func(int) {})
		total += moved.Jobs + moved.Failed
		if ctx.Err() != nil {
			return errors.Join(reportCount(cmd, "imported", total, "job", nil), stayed(moved.Stay))
		}
		if err != nil {
			return reportCount(cmd, "imported", total, "job", err)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
		}
	}
}

// stayed is the error of jobs that could not be converted, or nil.
func stayed(jobs []importer.Stays) error {
	if len(jobs) == 0 {
		return nil
	}
	const most = 10
	var says []string
	for _, j := range jobs[:min(most, len(jobs))] {
		says = append(says, fmt.Sprintf("%v: %v", j.ID, j.Why))
	}
	if len(jobs) > most {
		says = append(says, "and others")
	}
	return exit.With(1,
		fmt.Errorf("%s cannot be converted and stay where they are: %s", term.Count(len(jobs), "job"), strings.Join(says, "; ")))
}

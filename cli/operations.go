package cli

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func operationsCommand(e *env) *cobra.Command {
	var asJSON bool
	limit, before := 100, 0
	cmd := &cobra.Command{
		Use:   "operations",
		Short: "List who changed what: cancelled, retried, paused, …",
		Long: "List operators' changes with who made them, newest first: push, cancel, edit, retry, forget, pause, limit and so on.\n" +
			"Changes by this command are listed as user@host, via cli; other programs are listed if they identify themselves. Each\n" +
			"entry is written in the transaction of its change. A bulk change has one for each thousand jobs. Entries are kept for\n" +
			"400 days.\n\n" +
			"TARGET has the ids, the conditions or the new values, as JSON.",
		Example: `  sqlqueue operations
  sqlqueue operations --limit 1000 --json | jq '.[] | select(.action == "cancel")'`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				found, err := o.Operations(cmd.Context(), operator.OperationFilter{Before: int64(before), Limit: limit})
				if err != nil {
					return err
				}
				if asJSON {
					err = term.WriteArray(cmd.OutOrStdout(), found)
				} else {
					err = operationTable(found, time.Now()).Print(cmd.OutOrStdout())
				}
				if len(found) == limit && err == nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "there may be more: use --limit, or --before %d\n", found[limit-1].ID)
				}
				return err
			})
		},
	}
	cmd.Flags().Var(settings.Counter(&before, 0), "before", "only operations with smaller ids, to get the next page")
	cmd.Flags().Var(settings.Counter(&limit, 1), "limit", "how many at most, up to 1000")
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

func operationTable(of []operator.Operation, now time.Time) *term.Grid {
	t := term.NewGrid(term.Number("ID"), term.Word("WHEN"), term.Text("WHO", 40), term.Spare(term.Text("VIA", 20)), term.Word("ACTION"),
		term.Text("QUEUE", 30), term.Number("AFFECTED"), term.Text("TARGET", 80))
	for _, o := range of {
		t.Add(strconv.FormatInt(o.ID, 10), term.Ago(o.At, now), o.Who, o.Via, o.Action, o.Queue,
			strconv.FormatInt(o.Affected, 10), o.Target)
	}
	return t
}

// whoami is who uses the command line, as user@host.
func whoami() string {
	name, host := os.Getenv("USER"), "unknown"
	if of, err := user.Current(); err == nil {
		name = of.Username
	} else if name == "" {
		name = strconv.Itoa(os.Getuid())
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

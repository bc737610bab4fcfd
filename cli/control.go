package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func pauseCommand(e *env) *cobra.Command {
	var queues []string
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "Stop workers from taking jobs of a queue, or of all",
		Long: "Stop workers from taking jobs of a queue, or without --queue of all queues. Running jobs continue, and jobs can\n" +
			"still be pushed.",
		Example: `  sqlqueue pause --queue mail --for 10m
  sqlqueue pause`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return control(e, cmd, queues, "paused", operator.ControlChange{Pause: true, PauseFor: duration})
		},
	}
	settings.QueueFlag(cmd, &queues, "queue, or several with commas between them (default: all)")
	cmd.Flags().Var(settings.Duration(&duration, settings.Positive), "for", "resume by itself after this time")
	cmd.Flags().Lookup("for").DefValue = ""
	return cmd
}

func resumeCommand(e *env) *cobra.Command {
	var queues []string
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "End a pause of a queue, or that of all",
		Long:  "End a pause. Without --queue it ends the pause of all queues; queues that were paused by name stay paused.",
		Example: `  sqlqueue resume --queue mail
  sqlqueue resume`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return control(e, cmd, queues, "resumed", operator.ControlChange{Resume: true})
		},
	}
	settings.QueueFlag(cmd, &queues, "queue, or several with commas between them (default: the pause of all)")
	return cmd
}

func restartCommand(e *env) *cobra.Command {
	var queues []string
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Have workers finish their jobs and exit 0",
		Long: "Ask all workers, or with --queue those of a queue, on every host, to finish their running jobs and exit 0. Their\n" +
			"supervisors then start them again, with new code. Does not affect workers started later.",
		Example: `  sqlqueue restart
  sqlqueue restart --queue mail`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return control(e, cmd, queues, "restarting the workers of", operator.ControlChange{Restart: true})
		},
	}
	settings.QueueFlag(cmd, &queues, "queue, or several with commas between them (default: all)")
	return cmd
}

func downCommand(e *env) *cobra.Command {
	return maintenanceCommand(e, true, "down", "Begin maintenance: no worker takes jobs, except those started with --force",
		"Begin maintenance of all queues, or with --queue of a queue: no worker takes jobs, except those started with --force. "+
			"Running jobs\n"+
			"continue, and jobs can still be pushed. The command up ends it.")
}

func upCommand(e *env) *cobra.Command {
	return maintenanceCommand(e, false, "up", "End maintenance",
		"End the maintenance of all queues, or with --queue that of a queue.")
}

func maintenanceCommand(e *env, on bool, name, short, long string) *cobra.Command {
	var queues []string
	cmd := &cobra.Command{
		Use:     name,
		Short:   short,
		Long:    long,
		Example: "  sqlqueue " + name,
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return control(e, cmd, queues, name+":", operator.ControlChange{Maintenance: &on})
		},
	}
	settings.QueueFlag(cmd, &queues, "queue, or several with commas between them (default: all)")
	return cmd
}

// control says the same about each queue, or about all.
func control(e *env, cmd *cobra.Command, queues []string, did string, change operator.ControlChange) error {
	about := "all queues"
	if len(queues) == 0 {
		queues = []string{""}
	} else {
		about = strings.Join(queues, ", ")
	}
	return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
		for _, queue := range queues {
			if err := o.Control(cmd.Context(), queue, change); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", did, about)
		return err
	})
}

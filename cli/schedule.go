package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// shellOrigin is the origin of schedules that the command line sets.
const shellOrigin = "cli"

func scheduleCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "schedule",
		Short: "Set, list and pause schedules: jobs that are pushed again and again",
		Long: `A schedule pushes a job again and again. Any running worker pushes the jobs that are due, once for each time.
--cron has minute, hour, day, month and weekday. --every counts from the time when the schedule was first set.`,
		Example: `  sqlqueue schedule set report --daily 02:30 --zone Asia/Shanghai make_report '{"for":"sales"}'
  sqlqueue schedule set ping --every '10 minutes' ping
  sqlqueue schedule next report -n 5
  sqlqueue schedule pause report`,
	}, scheduleSetCommand(e), scheduleListCommand(e), scheduleShowCommand(e), schedulePauseCommand(e, true), schedulePauseCommand(e, false),
		scheduleRunCommand(e), scheduleNextCommand(e), scheduleRemoveCommand(e), schedulePruneCommand(e))
}

// when is how flags say when a schedule comes.
type when struct{ cron, every, daily, weekly, monthly, zone string }

func (w *when) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&w.cron, "cron", "", "minute, hour, day, month and weekday, such as '30 2 * * *', or @daily")
	flags.StringVar(&w.every, "every", "", "an interval, such as '10 minutes' or '2 weeks on mon at 02:30'")
	flags.StringVar(&w.daily, "daily", "", "a time of day, such as 02:30")
	flags.StringVar(&w.weekly, "weekly", "", "weekdays and a time of day, such as mon,fri,02:30")
	flags.StringVar(&w.monthly, "monthly", "", "days of the month and a time of day, such as 1,last,02:30")
	flags.StringVar(&w.zone, "zone", "UTC", "the time zone of the clock, such as Asia/Shanghai")
}

// rule returns the cron expression or the interval.
func (w *when) rule() (cron, every string, err error) {
	given := 0
	for _, text := range []string{w.cron, w.every, w.daily, w.weekly, w.monthly} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		return "", "", exit.Usagef("give one of --cron, --every, --daily, --weekly and --monthly")
	}
	on := func(unit, flag, text string) (string, error) {
		i := strings.LastIndexByte(text, ',')
		if i < 0 {
			return "", exit.Usagef("--%s is %.40q: it must have days and a time, such as %s", flag, text,
				map[string]string{"week": "mon,fri,02:30", "month": "1,last,02:30"}[unit])
		}
		return fmt.Sprintf("1 %s on %s at %s", unit, text[:i], text[i+1:]), nil
	}
	switch {
	case w.daily != "":
		every = "1 day at " + w.daily
	case w.weekly != "":
		every, err = on("week", "weekly", w.weekly)
	case w.monthly != "":
		every, err = on("month", "monthly", w.monthly)
	default:
		cron, every = w.cron, w.every
	}
	return cron, every, err
}

func scheduleSetCommand(e *env) *cobra.Command {
	var at when
	var missed string
	var noOverlap bool
	catchUp := 24 * time.Hour
	var priority int
	cmd := &cobra.Command{
		Use:     "set NAME JOB [DATA]",
		Example: `  sqlqueue schedule set report --cron '30 2 * * *' --zone Europe/Berlin make_report`,
		Short:   "Set a schedule, or change it",
		Long: "Create or change the schedule NAME, which pushes a job for the handler JOB. A paused schedule stays paused. DATA is a\n" +
			"JSON value: an argument, @FILE, or - for standard input. The default is {}.",
		Args: between(2, 3, "NAME", "JOB"),
	}
	queues := []string{e.settings.Queue}
	settings.QueueFlag(cmd, &queues, "queue of its jobs (environment: SQLQUEUE_QUEUE)")
	at.add(cmd)
	cmd.Flags().StringVar(&missed, "missed", "one", "which missed times to make up for, when no worker ran: skip, one (the newest), or all")
	cmd.Flags().Var(settings.Duration(&catchUp, settings.NotNegative), "catch-up", "make up only for times missed by at most this")
	cmd.Flags().BoolVar(&noOverlap, "no-overlap", false, "push nothing while the previous job is not done")
	cmd.Flags().IntVar(&priority, "priority", 0, "priority of its jobs: smaller runs first")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cron, every, err := at.rule()
		if err != nil {
			return err
		}
		data := []byte("{}")
		if len(args) > 2 {
			if data, err = settings.ReadData(args[2], cmd.InOrStdin()); err != nil {
				return err
			}
		}
		job := sqlqueue.With(sqlqueue.Named(args[1], json.RawMessage(data)), sqlqueue.OnQueue(queues...), sqlqueue.Priority(priority))
		return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
			if err := o.Queue().Schedule(cmd.Context(), sqlqueue.Schedule{
				Name: args[0], Cron: cron, Every: every, Zone: at.zone, Job: job, Missed: sqlqueue.Missed(missed), CatchUp: catchUp,
				NoOverlap: noOverlap, Origin: shellOrigin,
			}); err != nil {
				return err
			}
			s, err := o.Schedule(cmd.Context(), args[0])
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s comes next at %s\n", s.Name, inZone(s, s.NextAt))
			}
			return err
		})
	}
	return cmd
}

// inZone writes a time as the schedule's clock shows it.
func inZone(s operator.Schedule, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		zone = time.UTC
	}
	return t.In(zone).Format("2006-01-02 15:04:05 MST")
}

func scheduleListCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Example: `  sqlqueue schedule list`,
		Short:   "List the schedules",
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				all, err := o.Schedules(cmd.Context())
				if err != nil {
					return err
				}
				return printSchedules(cmd, all, asJSON)
			})
		},
	}
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

func printSchedules(cmd *cobra.Command, all []operator.Schedule, asJSON bool) error {
	if asJSON {
		return term.WriteArray(cmd.OutOrStdout(), all)
	}
	t := term.NewGrid(term.Text("NAME", 30), term.Text("WHEN", 30), term.Text("QUEUE", 30), term.Word("NEXT"),
		term.Spare(term.Word("LAST")),
		term.Number("JOBS"), term.Word("STATE"))
	for _, s := range all {
		comes, state := s.Cron, "on"
		if comes == "" {
			comes = "every " + s.Every
		}
		if s.Paused {
			state = "paused"
		}
		t.Add(s.Name, comes, s.Queue, inZone(s, s.NextAt), inZone(s, s.LastAt), fmt.Sprint(s.Runs), state)
	}
	return t.Print(cmd.OutOrStdout())
}

func scheduleShowCommand(e *env) *cobra.Command {
	cmd := scheduleVerb(e, "show", "Show a schedule, as JSON", func(cmd *cobra.Command, o *operator.Operator, name string) error {
		s, err := o.Schedule(cmd.Context(), name)
		if err != nil {
			return err
		}
		return term.WriteJSON(cmd.OutOrStdout(), s)
	})
	return cmd
}

// scheduleVerb is a command about one schedule.
func scheduleVerb(e *env, verb, short string, do func(*cobra.Command, *operator.Operator, string) error) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " NAME",
		Example: "  sqlqueue schedule " + verb + " report",
		Short:   short,
		Args:    between(1, 1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error { return do(cmd, o, args[0]) })
		},
	}
}

func schedulePauseCommand(e *env, pause bool) *cobra.Command {
	if pause {
		return scheduleVerb(e, "pause", "Pause a schedule: it pushes nothing until it is resumed",
			func(cmd *cobra.Command, o *operator.Operator, name string) error {
				return o.PauseSchedule(cmd.Context(), name)
			})
	}
	return scheduleVerb(e, "resume", "Resume a schedule: it pushes at its next time from now",
		func(cmd *cobra.Command, o *operator.Operator, name string) error {
			return o.ResumeSchedule(cmd.Context(), name)
		})
}

func scheduleRunCommand(e *env) *cobra.Command {
	return scheduleVerb(e, "run", "Push a schedule's job now and print its id", func(
		cmd *cobra.Command, o *operator.Operator, name string,
	) error {
		id, err := o.RunSchedule(cmd.Context(), name)
		return printID(cmd.OutOrStdout(), id, err)
	})
}

func scheduleNextCommand(e *env) *cobra.Command {
	n := 10
	cmd := scheduleVerb(e, "next", "Print the next times of a schedule", func(cmd *cobra.Command, o *operator.Operator, name string) error {
		s, err := o.Schedule(cmd.Context(), name)
		if err != nil {
			return err
		}
		now, err := o.Now(cmd.Context())
		if err != nil {
			return err
		}
		times, err := sqlqueue.ScheduleTimes(s.Cron, s.Every, s.Zone, s.CreatedAt, now, n)
		if err != nil {
			return err
		}
		for _, t := range times {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), inZone(s, t)); err != nil {
				return err
			}
		}
		return nil
	})
	cmd.Flags().VarP(settings.Counter(&n, 1), "number", "n", "how many")
	return cmd
}

func scheduleRemoveCommand(e *env) *cobra.Command {
	return scheduleVerb(e, "remove", "Remove a schedule; its jobs stay", func(cmd *cobra.Command, o *operator.Operator, name string) error {
		return o.RemoveSchedule(cmd.Context(), name)
	})
}

func schedulePruneCommand(e *env) *cobra.Command {
	var keep []string
	origin := "code"
	cmd := &cobra.Command{
		Use:     "prune",
		Example: `  sqlqueue schedule prune --keep report,ping`,
		Short:   "Remove schedules that programs set earlier and no longer use",
		Long: "Remove all schedules that programs have set, except those in --keep, and print the removed names.\n" +
			"A program that still uses one sets it again when it starts.",
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withOperator(cmd.Context(), func(o *operator.Operator) error {
				gone, err := o.PruneSchedules(cmd.Context(), origin, keep)
				for _, name := range gone {
					fmt.Fprintln(cmd.OutOrStdout(), name)
				}
				return err
			})
		},
	}
	cmd.Flags().StringSliceVar(&keep, "keep", nil, "names to keep, separated by commas")
	cmd.Flags().StringVar(&origin, "origin", origin, "who set them")
	return cmd
}

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

func migrateCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "migrate",
		Short: "Make, change and remove the tables",
		Example: `  sqlqueue migrate up
  sqlqueue migrate status`,
		Long: "Create, change and remove the tables. Several processes may run it at the same time: one works, the others wait.\n" +
			"The steps are plain goose files, which the goose command can run too.",
	},
		migrateUpCommand(e),
		migrateDownCommand(e),
		migrateStatusCommand(e),
		migrateVersionCommand(e),
		migrateValidateCommand(e),
		migrateSQLCommand(e),
	)
}

func migrateUpCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Apply every step that is not applied yet",
		Long:  "Apply every step that is not applied yet. With sqlite:PATH it creates the file, with --schema the schema.",
		Example: `  sqlqueue migrate up
  sqlqueue migrate up --dsn postgres://app@db.example.com/shop`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withMigrator(cmd.Context(), true, func(m *migrations.Migrator) error {
				applied, err := m.Up(cmd.Context())
				return e.reportSteps(cmd, "applied", "nothing to do: the tables are up to date", applied, err)
			})
		},
	}
}

func migrateDownCommand(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take back the newest step, with all the data in its tables",
		Long: "Take back the newest step, with all the data in its tables and columns; with --all every step. It first names the\n" +
			"database and its jobs, and asks for confirmation; without a terminal it needs --yes.",
		Example: `  sqlqueue migrate down
  sqlqueue migrate down --all --yes`,
		Args: between(0, 0),
	}
	cmd.Flags().BoolVar(&all, "all", false, "take back every step")
	consent := yesFlag(e, cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := consent.possible(cmd); err != nil {
			return err
		}
		return e.withMigrator(cmd.Context(), false, func(m *migrations.Migrator) error {
			goOn, err := consent.given(cmd, "take back", func() (extent, error) { return e.stepsToTakeBack(cmd.Context(), m, all) })
			if !goOn {
				return err
			}
			down := m.Down
			if all {
				down = m.DownAll
			}
			taken, err := down(cmd.Context())
			return e.reportSteps(cmd, "rolled back", "nothing to do: no step is applied", taken, err)
		})
	}
	return cmd
}

// stepsToTakeBack tells which steps migrate down would take back, and what is in the tables.
func (e *env) stepsToTakeBack(ctx context.Context, m *migrations.Migrator, all bool) (extent, error) {
	version, err := m.Version(ctx)
	if err != nil || version == 0 {
		return extent{}, err
	}
	found := extent{n: int(version), text: fmt.Sprintf("step %d and what it holds", version)}
	if !all && version > 1 {
		return found, nil
	}
	found.text = "every step and delete all jobs"
	o := operator.New(e.database.Queue)
	// an older version of the tables may not let it count
	if jobs, err := o.CountJobs(ctx, operator.JobFilter{}, term.CountedTo); err == nil {
		found.text = "every step and delete " + term.CountTo(jobs, "job")
	}
	if groups, err := o.FailedGroups(ctx, operator.FailedFilter{}, term.CountedTo); err == nil {
		found.text += " and " + extentOf(groups, 0).text
	}
	return found, nil
}

func migrateStatusCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "List the steps and which of them are applied",
		Example: `  sqlqueue migrate status --json`,
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withMigrator(cmd.Context(), false, func(m *migrations.Migrator) error {
				steps, err := m.Status(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					return term.WriteArray(cmd.OutOrStdout(), stepRows(steps))
				}
				t := term.NewGrid(term.Number("VERSION"), term.Text("NAME", 60), term.Word("APPLIED"))
				for _, s := range steps {
					applied := "no"
					if s.Applied {
						applied = term.Timestamp(s.AppliedAt, time.Now())
					}
					t.Add(fmt.Sprint(s.Version), s.Name, applied)
				}
				return t.Print(cmd.OutOrStdout())
			})
		},
	}
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

// stepRow is a step of `migrate status --json`.
type stepRow struct {
	Version   int64     `json:"version"`
	Name      string    `json:"name"`
	Applied   bool      `json:"applied"`
	AppliedAt time.Time `json:"applied_at,omitzero"`
}

func stepRows(steps []migrations.Migration) []stepRow {
	rows := make([]stepRow, len(steps))
	for i, s := range steps {
		rows[i] = stepRow(s)
	}
	return rows
}

func migrateVersionCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of the tables, 0 when there are none",
		Example: `  sqlqueue migrate version`,
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withMigrator(cmd.Context(), false, func(m *migrations.Migrator) error {
				version, err := m.Version(cmd.Context())
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), version)
				return err
			})
		},
	}
}

func migrateValidateCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check that the applied steps fit this program",
		Long: "Check that the applied steps fit this program: the database has no step that this program does not know, and none was\n" +
			"left out. A database that is only behind is valid. The exit code is 1 if something is wrong.",
		Example: `  sqlqueue migrate validate`,
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withMigrator(cmd.Context(), false, func(m *migrations.Migrator) error {
				if err := m.Validate(cmd.Context()); err != nil {
					return err
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "valid")
				return err
			})
		},
	}
}

func migrateSQLCommand(e *env) *cobra.Command {
	var dialect string
	var down bool
	after := 0
	cmd := &cobra.Command{
		Use:   "sql",
		Short: "Print the statements, for other migration tools",
		Long: "Print the statements of all steps, or of those after a version, for Flyway, Atlas, Alembic, Rails and other tools that\n" +
			"run SQL files. The statements record the steps too, so that workers know the version of the tables. The command does\n" +
			"not connect: the address, or --dialect, only chooses the kind of database.",
		Example: `  sqlqueue migrate sql --dialect postgres >migrations/V7__sqlqueue.sql
  sqlqueue migrate sql --dialect mysql --after 5
  sqlqueue migrate sql --dialect postgres --down`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			of := migrations.Dialect(dialect)
			switch dialect {
			case "mariadb":
				of = migrations.MySQL
			case "":
				a, err := open.ParseAddress(e.settings.DSN)
				if err != nil {
					return err
				}
				of = a.Dialect
			}
			text, err := migrations.SQL(of, e.settings.Prefix, int64(after), down, migrations.Schema(e.settings.Schema))
			if err != nil {
				return exit.Usagef("%w", err)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringVar(&dialect, "dialect", "", "postgres, mysql (also for MariaDB) or sqlite (default: that of the address)")
	cmd.Flags().Var(settings.Counter(&after, 0), "after", "only the steps after this version, which is already applied")
	cmd.Flags().BoolVar(&down, "down", false, "print the statements that take the steps back, newest first")
	return cmd
}

// withMigrator runs do with the migrator of a database that answers.
func (e *env) withMigrator(ctx context.Context, create bool, do func(*migrations.Migrator) error) error {
	d, err := e.open(create)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Connect(ctx); err != nil {
		return err
	}
	m, err := migrations.New(d.DB, d.Dialect, e.settings.Prefix, migrations.Schema(e.settings.Schema))
	if err != nil {
		return err
	}
	return do(m)
}

// reportSteps prints what was done, also before an error, and where.
func (e *env) reportSteps(cmd *cobra.Command, did, nothing string, steps []migrations.Migration, err error) error {
	for _, s := range steps {
		fmt.Fprintf(cmd.OutOrStdout(), "%s %d %s\n", did, s.Version, s.Name)
	}
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), nothing)
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "database: %s\n", e.where())
	return err
}

package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/migrations"
)

func migrateCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:   "migrate",
		Short: "Make, change and remove the tables",
		Example: `  sqlqueue migrate up
  sqlqueue migrate status`,
		Long: "Make, change and remove the tables. Any number of processes may do it at once: one works, the others wait.\n" +
			"The steps are plain goose files, which the goose command can run too.",
	},
		migrateUpCommand(e),
		migrateDownCommand(e),
		migrateStatusCommand(e),
		migrateVersionCommand(e),
		migrateValidateCommand(e),
	)
}

func migrateUpCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "up",
		Short: "Apply every step that is not applied yet",
		Long:  "Apply every step that is not applied yet. With sqlite:PATH it makes the file.",
		Example: `  sqlqueue migrate up
  sqlqueue migrate up --dsn postgres://app@db.example.com/shop`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withMigrator(cmd.Context(), true, func(m *migrations.Migrator) error {
				applied, err := m.Up(cmd.Context())
				return reportSteps(cmd.OutOrStdout(), "applied", "nothing to do: the tables are up to date", applied, err)
			})
		},
	}
}

func migrateDownCommand(e *env) *cobra.Command {
	var all, yes bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take back the newest step, with all the data in its tables",
		Example: `  sqlqueue migrate down
  sqlqueue migrate down --all --yes`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.withMigrator(cmd.Context(), false, func(m *migrations.Migrator) error {
				if err := confirm(cmd, yes, "This removes tables with all the jobs in them. "); err != nil {
					return err
				}
				down := m.Down
				if all {
					down = m.DownAll
				}
				taken, err := down(cmd.Context())
				return reportSteps(cmd.OutOrStdout(), "took back", "nothing to do: no step is applied", taken, err)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "take back every step")
	yesFlag(cmd, &yes)
	return cmd
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
		Short: "Check that the steps and what is applied of them fit together",
		Long: "Check that the steps and what is applied of them fit together: the database has no step that this program does not know,\n" +
			"and none was left out. A database that is merely behind is valid. Exit code 1 if something is wrong.",
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
	m, err := migrations.New(d.DB, d.Dialect, e.settings.Prefix)
	if err != nil {
		return err
	}
	return do(m)
}

// reportSteps prints what was done, also before an error.
func reportSteps(w io.Writer, did, nothing string, steps []migrations.Migration, err error) error {
	for _, s := range steps {
		fmt.Fprintf(w, "%s %d %s\n", did, s.Version, s.Name)
	}
	if len(steps) == 0 && err == nil {
		fmt.Fprintln(w, nothing)
	}
	return err
}

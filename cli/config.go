package cli

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

func configCommand(e *env) *cobra.Command {
	return group(&cobra.Command{
		Use:     "config",
		Short:   "Show the settings and where they come from",
		Long:    settings.Help,
		Example: `  sqlqueue config show`,
	}, configShowCommand(e))
}

func configShowCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print every setting, its value, and where it comes from",
		Long: "Print every setting, its value, and where it comes from: flag, environment and the variable, file and the line, or\n" +
			"default. Passwords in the address are shown as xxxxx, and a malformed address not at all. The JSON is an array of\n" +
			"objects with setting, value and from.\n\n" +
			settings.Help,
		Example: `  sqlqueue config show
  sqlqueue config show --config /etc/sqlqueue.yaml --json | jq '.[] | select(.from != "default")'`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := e.settings.Shown()
			if err != nil {
				return err
			}
			if asJSON {
				return term.WriteArray(cmd.OutOrStdout(), settings)
			}
			t := term.NewGrid(term.Word("SETTING"), term.Text("VALUE", 200), term.Word("FROM"))
			for _, s := range settings {
				t.Add(s.Setting, cmp.Or(s.Value, "-"), s.From)
			}
			return t.Print(cmd.OutOrStdout())
		},
	}
	settings.JSONFlag(cmd, &asJSON)
	return cmd
}

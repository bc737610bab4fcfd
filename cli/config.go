package cli

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/open"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

func (p *program) configCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:     "config",
		Short:   "Show the settings and where they come from",
		Long:    settingsLong,
		Example: `  sqlqueue config show`,
	}, p.configShowCommand())
}

func (p *program) configShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print every setting, its value, and where it comes from",
		Long: "Print every setting, its value, and where it comes from: flag, environment and the variable, file and the line, or default. Passwords in\n" +
			"the address are shown as xxxxx, and a malformed address not at all. The JSON is an array of objects with setting, value and from.\n\n" + settingsLong,
		Example: `  sqlqueue config show
  sqlqueue config show --config /etc/sqlqueue.yaml --json | jq '.[] | select(.from != "default")'`,
		Args: between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := p.shownSettings()
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
	jsonFlag(cmd, &asJSON)
	return cmd
}

// shownSetting is a row of `config show --json`.
type shownSetting struct {
	Setting string `json:"setting"` // with its command, if not all have it
	Value   string `json:"value"`
	From    string `json:"from"`
}

// shownSettings gives every command its settings, and returns them.
func (p *program) shownSettings() ([]shownSetting, error) {
	address, secrets := open.ShownAddress(p.dsn)
	settings := []shownSetting{{"config", p.file.name, cmp.Or(p.file.from, "default")}}
	add := func(name string, f *pflag.Flag) {
		value := f.DefValue
		if p.from[f] != "" {
			value = f.Value.String()
		}
		for _, secret := range secrets {
			value = strings.ReplaceAll(value, secret, "xxxxx")
		}
		settings = append(settings, shownSetting{name, value, p.fromOf(f)})
	}
	for _, f := range p.globalSettings() {
		add(f.Name, f)
		if f.Name == "dsn" {
			settings[len(settings)-1].Value = address
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settingCommands)) {
		cmd := childOf(p.root, name)
		if err := p.setLocal(cmd); err != nil {
			return nil, err
		}
		for _, f := range p.localSettings(cmd) {
			add(name+"."+f.Name, f)
		}
	}
	return settings, nil
}

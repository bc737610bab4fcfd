package settings

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/open"
)

// Setting is a row of `config show --json`.
type Setting struct {
	Setting string `json:"setting"` // with its command, if not all have it
	Value   string `json:"value"`
	From    string `json:"from"`
}

// Shown gives every command its settings, and returns them.
func (s *Settings) Shown() ([]Setting, error) {
	address, secrets := open.ShownAddress(s.DSN)
	shown := []Setting{{"config", s.file.name, cmp.Or(s.file.from, "default")}}
	add := func(name string, f *pflag.Flag) {
		value := f.DefValue
		if s.from[f] != "" {
			value = f.Value.String()
		}
		for _, secret := range secrets {
			value = strings.ReplaceAll(value, secret, "xxxxx")
		}
		shown = append(shown, Setting{name, value, cmp.Or(s.from[f], "default")})
	}
	for _, f := range s.globalSettings() {
		add(f.Name, f)
		if f.Name == "dsn" {
			shown[len(shown)-1].Value = address
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settingCommands)) {
		cmd := s.command(name)
		if err := s.setLocal(cmd); err != nil {
			return nil, err
		}
		for _, f := range s.localSettings(cmd) {
			add(name+"."+f.Name, f)
		}
	}
	return shown, nil
}

package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

const modulePath = "github.com/sqlqueue/sqlqueue"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of sqlqueue, of its tables and of Go",
		Example: `  sqlqueue version`,
		Args:    between(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			version, goVersion := buildVersion()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "sqlqueue %s\ntables %d\n%s\n", version, driver.SchemaVersion, goVersion)
			return err
		},
	}
}

// buildVersion returns the version of this module, which is the main one in the stock binary and a dependency in an application's.
func buildVersion() (version, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)", "(unknown)"
	}
	if info.Main.Path == modulePath {
		return info.Main.Version, info.GoVersion
	}
	for _, dependency := range info.Deps {
		if dependency.Path == modulePath {
			return dependency.Version, info.GoVersion
		}
	}
	return "(unknown)", info.GoVersion
}

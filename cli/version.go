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
			_, err := fmt.Fprint(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

// versionText is what version and --version print.
func versionText() string {
	version, goVersion := buildVersion()
	return fmt.Sprintf("sqlqueue %s\ntables %d\n%s\n", version, driver.SchemaVersion, goVersion)
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

// Sqlqueue pushes, works and looks after jobs in a database: see sqlqueue --help.
package main

import (
	"context"
	"os"
	_ "time/tzdata" // for schedules, where the machine has no time zones

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli"
	"github.com/sqlqueue/sqlqueue/cmd/sqlqueue/internal/demo"
)

func main() {
	options := cli.Options{Commands: func() []*cobra.Command { return []*cobra.Command{demo.Command()} }}
	os.Exit(cli.Main(context.Background(), os.Args[1:], options))
}

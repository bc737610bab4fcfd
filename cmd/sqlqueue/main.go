// Sqlqueue pushes, works and looks after jobs in a database: see sqlqueue --help.
package main

import (
	"context"
	"os"

	"github.com/sqlqueue/sqlqueue/cli"
)

func main() { os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Options{})) }

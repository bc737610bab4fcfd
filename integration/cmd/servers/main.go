// The servers command starts a database server of each engine, runs a command with their addresses in its environment, stops
// them, and lists engine, version and way of each:
//
//	go run ./cmd/servers -- go test ./...
//	go run ./cmd/servers -- sh
//
// It exits with the command's exit code, or with 1 when an engine could not be had: then the command is not run. What it prints
// itself goes to standard error. Package servers documents the environment that it reads and sets.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

func main() {
	command := os.Args[1:]
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	if len(command) == 0 {
		fmt.Fprintln(os.Stderr, "usage: servers [--] COMMAND [ARGUMENT…]")
		os.Exit(2)
	}
	os.Exit(run(command))
}

func run(command []string) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	set, err := servers.Start(ctx)
	defer func() {
		if err := errors.Join(set.Stop(), list(set)); err != nil {
			fmt.Fprintln(os.Stderr, "servers:", err)
			code = max(code, 1)
		}
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "servers:", err)
		return 1
	}
	return runCommand(ctx, command, set.Environ())
}

// runCommand runs command until it ends; when ctx ends, it is asked to end, and killed 30 seconds later.
func runCommand(ctx context.Context, command, variables []string) (code int) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), variables...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "servers: %s: %v\n", command[0], err)
		return 1
	}
	return 0
}

// list prints the set, and SQLite, which needs no server.
func list(set *servers.Set) error {
	sqlite, err := servers.SQLite(context.Background())
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stderr, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "engine\tversion\tway")
	err = set.Summary(table)
	fmt.Fprintf(table, "%s\t%s\t%s\n", sqlite.Name, sqlite.Version, sqlite.Way)
	return errors.Join(err, table.Flush())
}

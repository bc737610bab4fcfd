// Package cli is the sqlqueue command: a tree of commands that pushes, works and looks after jobs.
//
// An application embeds it to get the same tree with its own handlers:
//
//	func main() {
//		mux := worker.NewMux()
//		worker.Handle(mux, sendInvoice)
//		os.Exit(cli.Main(context.Background(), os.Args[1:], cli.Options{Name: "shop", Mux: mux}))
//	}
//
// Then `shop work --queue high,default` runs the handlers, and `shop push`, `shop queues`, `shop failed` and the rest work as in the
// stock binary. An application with commands of its own adds [Command] to them.
//
// Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 error, 2 a mistake in what was typed, or an
// alert, 12 memory limit.
package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/child"
	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/run"
	"github.com/sqlqueue/sqlqueue/cli/internal/supervise"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

// Begin is for a main that does something before [Main] or [Command], which call it too: listen on a port, read standard input, or look at
// the arguments. Call it first. On Unix, work and listen run commands and children under a supervisor, which is another process of the same
// program: in that, Begin does not return.
func Begin() {
	supervise.Become()
	child.Serves()
}

// Main runs the command that args name, without the program's own name, and returns the exit code: what main gives to os.Exit. It
// uses standard input, output and error. The command ends when ctx does; work, which also ends at TERM, INT, QUIT and HUP,
// then finishes what it runs; from then on the process outlives PIPE.
func Main(ctx context.Context, args []string, options Options) int {
	return execute(ctx, Command(options), args) //nolint:contextcheck // commands get theirs from cobra
}

func execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(append([]string{}, commandFirst(root, args)...)) // cobra takes nil for those of the process
	err := root.ExecuteContext(ctx)
	if err != nil {
		const patience = 2 * time.Second // with a standard error that takes nothing
		run.Within(patience, func() { fmt.Fprintf(root.ErrOrStderr(), "%s: %s\n", root.Name(), oneLine(err)) })
	}
	return ExitCode(err)
}

// ExitCode returns the exit code that goes with what a command of [Command] returned: 0 for nil, 2 for a mistake in what was typed,
// 12 for a memory limit that was reached, 1 for any other error.
func ExitCode(err error) int { return exit.Code(err) }

// oneLine makes an error fit for one line of a terminal.
func oneLine(err error) string {
	text := strings.TrimPrefix(err.Error(), "sqlqueue: ") // the library's own; the program's name stands before it anyway
	var lines []string
	for line := range strings.Lines(text) {
		if line = term.Printable(strings.TrimSpace(line)); line != "" && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":;", ":")
}

// Command returns the command tree, for an application that has commands of its own. Errors are returned, not printed: [ExitCode] has
// the exit code of each. The Options' Name is the name of the command.
func Command(options Options) *cobra.Command {
	Begin()
	root, _ := newTree(options)
	return root
}

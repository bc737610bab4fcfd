package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

// asks reports whether a person is at the terminal who can be asked.
func asks(cmd *cobra.Command, yes bool) bool {
	return !yes && term.IsTerminal(cmd.InOrStdin()) && term.IsTerminal(cmd.ErrOrStderr())
}

// confirm asks the person at the terminal before something is destroyed.
func confirm(cmd *cobra.Command, warning string) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "%sGo on? [y/N] ", warning)
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing done")
}

// consent says whether many rows may be changed.
type consent struct {
	env         *env
	yes, dryRun bool
	says        bool // how many they are, also where nobody is asked
	harmless    bool // goes on where nobody can be asked
}

// consentFlags adds --yes and --dry-run.
func consentFlags(e *env, cmd *cobra.Command) *consent {
	c := yesFlag(e, cmd)
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "only show how many jobs match")
	return c
}

// yesFlag adds --yes.
func yesFlag(e *env, cmd *cobra.Command) *consent {
	c := &consent{env: e}
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do not ask for confirmation; required without a terminal")
	return c
}

// possible returns an error of usage where consent is needed and nobody can be asked for it.
func (c *consent) possible(cmd *cobra.Command) error {
	if c.yes || c.dryRun || c.harmless || asks(cmd, c.yes) {
		return nil
	}
	hint := "give --yes"
	if cmd.Flags().Lookup("dry-run") != nil {
		hint += ", or --dry-run to see how many"
	}
	return exit.Usagef("%s cannot be undone, and there is no terminal to ask for confirmation: %s", cmd.CommandPath(), hint)
}

// extent is how many rows are to be changed, and which.
type extent struct {
	n       int
	text    string // such as: 12 jobs
	details string // lines, or nothing
}

// given reports whether to go on, never with --dry-run. look counts the rows that would be changed, and is called only if somebody wants to
// know.
func (c *consent) given(cmd *cobra.Command, does string, look func() (extent, error)) (bool, error) {
	ask := asks(cmd, c.yes)
	if !ask && !c.says && !c.dryRun {
		return true, nil
	}
	stop := term.ShowLine(cmd.ErrOrStderr(), func() string { return "counting" })
	found, err := look()
	stop()
	switch about := does + " " + found.text + " in " + c.env.where(); {
	case err != nil:
		return false, err
	case c.dryRun:
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "would %s %s\n%s", does, found.text, found.details)
		return false, err
	case found.n == 0:
	case ask && found.details != "":
		err = confirm(cmd, fmt.Sprintf("This would %s:\n%s", about, found.details))
	case ask:
		err = confirm(cmd, fmt.Sprintf("This would %s. ", about))
	case c.says:
		fmt.Fprintf(cmd.ErrOrStderr(), "about to %s\n", about)
	}
	return err == nil, err
}

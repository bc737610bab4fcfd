package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
)

func yesFlag(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask")
}

// asks reports whether a person is at the terminal who can be asked.
func asks(cmd *cobra.Command, yes bool) bool {
	return !yes && term.IsTerminal(cmd.InOrStdin()) && term.IsTerminal(cmd.ErrOrStderr())
}

// confirm asks before something is destroyed, when a person is at the terminal.
func confirm(cmd *cobra.Command, yes bool, warning string) error {
	if !asks(cmd, yes) {
		return nil
	}
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
	yes, dryRun bool
	says        bool // how many they are, also where nobody is asked
}

func consentFlags(cmd *cobra.Command) *consent {
	c := &consent{}
	yesFlag(cmd, &c.yes)
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "only tell how many it would be")
	return c
}

// extent is how many rows are to be changed, and which.
type extent struct {
	n       int
	text    string // such as: 12 jobs
	details string // lines, or nothing
}

// given reports whether to go on: always where nobody is at the terminal, never with --dry-run. look finds out how many rows it
// would be, and is asked only if somebody wants to know.
func (c *consent) given(cmd *cobra.Command, does string, look func() (extent, error)) (bool, error) {
	ask := asks(cmd, c.yes)
	if !ask && !c.says && !c.dryRun {
		return true, nil
	}
	stop := term.ShowLine(cmd.ErrOrStderr(), func() string { return "counting" })
	found, err := look()
	stop()
	switch about := does + " " + found.text; {
	case err != nil:
		return false, err
	case c.dryRun:
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "would %s\n%s", about, found.details)
		return false, err
	case found.n == 0:
	case ask && found.details != "":
		err = confirm(cmd, false, fmt.Sprintf("This would %s:\n%s", about, found.details))
	case ask:
		err = confirm(cmd, false, fmt.Sprintf("This would %s. ", about))
	case c.says:
		fmt.Fprintf(cmd.ErrOrStderr(), "about to %s\n", about)
	}
	return err == nil, err
}

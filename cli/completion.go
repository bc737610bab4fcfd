package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/sqlqueue/sqlqueue/cli/internal/exit"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

// completionCommand stands in place of cobra's own, which has no examples.
func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print what completes commands and flags in a shell: " + strings.Join(shells, ", "),
		Long: "Print a script for bash, zsh, fish or powershell with which the shell completes commands, flags and some of their values. The bash one\n" +
			"needs the package bash-completion. Each takes effect in new shells.",
		Example: `  sqlqueue completion bash >/etc/bash_completion.d/sqlqueue
  sqlqueue completion zsh >"${fpath[1]}/_sqlqueue"
  sqlqueue completion fish >~/.config/fish/completions/sqlqueue.fish
  source <(sqlqueue completion bash)`,
		Args:              between(1, 1, "SHELL"),
		ValidArgsFunction: cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(w)
			}
			return exit.Usagef("unknown shell %q: use %s", args[0], strings.Join(shells, ", "))
		},
	}
}

// flagValues are the values of flags that take one of a few.
var flagValues = map[string][]string{
	"state":      {"ready", "delayed", "reserved"},
	"log-format": {"text", "json"},
	"expire":     {"off"},
}

// completeFlags has a shell complete the values of a command's flags.
func completeFlags(cmd *cobra.Command) {
	for name, values := range flagValues {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // fails only if done before
		}
	}
}

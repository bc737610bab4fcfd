package cli

import (
	"os/exec"
	"strings"
	"testing"
)

// The scripts are ones that their shells can read.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, text := range map[string]string{"bash": "__start_sqlqueue", "zsh": "#compdef sqlqueue", "fish": "complete -c sqlqueue", "powershell": "Register-ArgumentCompleter"} {
		got := runWith(t.Context(), Options{}, "", "completion", shell)
		if got.code != 0 || !strings.Contains(got.stdout, text) {
			t.Errorf("%s: exit code %d, %s", shell, got.code, got.stderr)
		}
		if shell == "bash" {
			check := exec.CommandContext(t.Context(), "bash", "-n")
			check.Stdin = strings.NewReader(got.stdout)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		}
	}
	s := newShell(t)
	s.fails(2, []string{`unknown shell "csh": use bash, zsh, fish, powershell`}, "completion", "csh")
	s.fails(2, []string{"sqlqueue completion needs SHELL"}, "completion")
	for typed, want := range map[string]string{
		"jobs list --state ":   "ready delayed reserved :4",
		"work --log-format ":   "text json :4",
		"work --expire ":       "off :4",
		"completion ":          "bash zsh fish powershell :4",
		"jobs c":               "cancel :4",
		"jobs cancel --field ": ":0",
	} {
		args := strings.Split(typed, " ")
		got := runWith(t.Context(), Options{}, "", append([]string{"__completeNoDesc"}, args...)...)
		if words := strings.Join(strings.Fields(got.stdout), " "); words != want {
			t.Errorf("%q is completed by %q, want %q", typed, words, want)
		}
	}
}

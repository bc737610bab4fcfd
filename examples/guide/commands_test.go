package guide

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/cli"
)

var (
	shell = regexp.MustCompile("(?ms)^```(?:sh|console)$(.*?)^```$")
	word  = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
)

// TestCommands: the commands that the documents show exist, with their flags.
func TestCommands(t *testing.T) {
	t.Parallel()
	found := 0
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/guide/*.md"} {
		documents, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range documents {
			for _, block := range shell.FindAllStringSubmatch(read(t, document), -1) {
				for line := range strings.SplitSeq(block[1], "\n") {
					args := command(line)
					if args == nil {
						continue
					}
					found++
					if err := parse(args); err != nil {
						t.Errorf("%s: %s: %v", filepath.Base(document), strings.TrimSpace(line), err)
					}
				}
			}
		}
	}
	if found < 50 {
		t.Errorf("%d commands were found, want 50 at least", found)
	}
}

// command returns the arguments of a line that calls sqlqueue, or the guide's shop; nil: it calls something else.
func command(line string) []string {
	words := word.FindAllString(strings.TrimPrefix(line, "$ "), -1)
	if len(words) < 2 || words[0] != "sqlqueue" && words[0] != "shop" {
		return nil
	}
	var args []string
	for _, w := range words[1:] {
		if strings.ContainsAny(w[:1], "#|&><;") || strings.HasPrefix(w, "2>") {
			break
		}
		args = append(args, strings.Trim(strings.TrimSuffix(w, ";"), `'"`))
	}
	return args
}

func parse(args []string) error {
	found, rest, err := cli.Command(cli.Options{}).Find(args)
	if err != nil {
		return err
	}
	if !found.HasParent() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return fmt.Errorf("there is no command %s", rest[0])
	}
	return found.ParseFlags(rest)
}

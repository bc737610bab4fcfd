package sqlqueuetest_test

import (
	"os/exec"
	"strings"
	"testing"
)

// With the tag, neither this package nor cli registers the name "sqlite", which another driver may have.
func TestDriverIsLeftOut(t *testing.T) {
	t.Parallel()
	for tags, want := range map[string]bool{"": true, "sqlqueue_nosqlite": false} {
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", tags,
			"github.com/sqlqueue/sqlqueue/sqlqueue/sqlqueuetest", "github.com/sqlqueue/sqlqueue/cli")
		packages, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(packages), "\nmodernc.org/sqlite\n"); got != want {
			t.Errorf("with the tags %q modernc.org/sqlite is imported: %v, want %v", tags, got, want)
		}
	}
}

package ncruces

import (
	"testing"

	"github.com/sqlqueue/sqlqueue/examples/orms/internal/recipe"
)

func TestNcruces(t *testing.T) {
	t.Parallel()
	recipe.CheckSQLite(t, Open)
}

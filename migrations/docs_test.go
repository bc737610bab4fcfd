package migrations_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// The page about the tables lists all of them, and its grants for those who run do too.
func TestDocumentedTables(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/migrations.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	_, rest, _ := strings.Cut(page, "-- to run: push, work")
	postgres, mysql, _ := strings.Cut(rest, "MySQL and MariaDB, for a database")
	granted := strings.Join(strings.Fields(postgres), " ")
	for _, table := range sqldb.Tables() {
		if !strings.Contains(page, "| `"+table+"` | ") {
			t.Errorf("%s is not in the list of tables", table)
		}
		if !strings.Contains(granted, " "+table+",") && !strings.Contains(granted, " "+table+" TO app;") {
			t.Errorf("PostgreSQL's grants do not have %s", table)
		}
		if !strings.Contains(mysql, " ON shop."+table+" TO app;") {
			t.Errorf("MySQL's grants do not have %s", table)
		}
	}
}

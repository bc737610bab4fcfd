package orms

import (
	"database/sql"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/examples/orms/internal/recipe"
)

func openModernc(file string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
}

func openMattn(file string) (*sql.DB, error) {
	return sql.Open("sqlite3", "file:"+file+"?_journal_mode=WAL&_busy_timeout=5000&_txlock=immediate")
}

func TestModernc(t *testing.T) {
	t.Parallel()
	recipe.CheckSQLite(t, openModernc)
}

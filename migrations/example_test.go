package migrations_test

import (
	"context"
	"database/sql"
	"fmt"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
)

func ExampleMigrator() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // each connection to :memory: is a database of its own

	m, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	applied, err := m.Up(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("applied", applied[0].Name)
	_, err = db.ExecContext(ctx, `INSERT INTO jobs (queue, payload) VALUES ('mail', '{"job":"send_invoice"}')`)
	fmt.Println(err)
	// Output:
	// applied create_jobs
	// <nil>
}

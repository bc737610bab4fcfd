package operator_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // each connection to :memory: is a database of its own
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrator.Up(ctx); err != nil {
		log.Fatal(err)
	}
	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := q.PushMany(ctx, []sqlqueue.Pushable{
		sqlqueue.Named("send", 1), sqlqueue.Named("send", 2), sqlqueue.Named("resize", 3),
	}); err != nil {
		log.Fatal(err)
	}

	o := operator.New(q).As("anna", "example") // what is changed is written down with her name
	cancelled, err := o.CancelAll(ctx, operator.JobFilter{Name: "send"})
	fmt.Println(cancelled, err)
	queues, err := o.Queues(ctx, 10_000)
	for _, queue := range queues {
		fmt.Printf("%s: %d ready\n", queue.Queue, queue.Ready)
	}
	fmt.Println(err)
	// Output:
	// 2 <nil>
	// default: 1 ready
	// <nil>
}

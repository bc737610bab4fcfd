package sqlitequeue_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqlitequeue"
)

type SendInvoice struct {
	OrderID int64 `json:"order_id"`
}

func (SendInvoice) JobName() string { return "send_invoice" }

func Example_push() {
	ctx := context.Background()
	db, done := openDatabase()
	defer done()

	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		log.Fatal(err)
	}
	id, err := q.Push(ctx, SendInvoice{42})
	fmt.Println(id, err)
	id, err = q.Push(ctx, SendInvoice{43}, sqlqueue.OnQueue("mail"), sqlqueue.Delay(10*time.Minute), sqlqueue.Unique("invoice 43"))
	fmt.Println(id, err)

	id, err = q.Push(ctx, SendInvoice{43}, sqlqueue.OnQueue("mail"), sqlqueue.Unique("invoice 43"))
	var duplicate *sqlqueue.DuplicateError
	fmt.Println(id, errors.As(err, &duplicate))

	queues, err := operator.New(q).Queues(ctx, 0)
	for _, queue := range queues {
		fmt.Printf("%s: %d ready, %d delayed\n", queue.Queue, queue.Ready, queue.Delayed)
	}
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 2 true
	// default: 1 ready, 0 delayed
	// mail: 0 ready, 1 delayed
	// <nil>
}

// The invoice is sent if and only if the order is there.
func ExampleWithTx() {
	ctx := context.Background()
	db, done := openDatabase()
	defer done()
	q, err := sqlitequeue.New(db, sqlqueue.Config{})
	if err != nil {
		log.Fatal(err)
	}

	order := func(id int64, paid bool) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // nothing after Commit
		if _, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id); err != nil {
			return err
		}
		if _, err := sqlitequeue.WithTx(q, tx).Push(ctx, SendInvoice{id}); err != nil {
			return err
		}
		if !paid {
			return errors.New("not paid")
		}
		return tx.Commit()
	}
	fmt.Println(order(42, true))
	fmt.Println(order(43, false))

	jobs, err := operator.New(q).Jobs(ctx, operator.JobFilter{})
	for _, job := range jobs {
		fmt.Printf("%s\n", job.Payload)
	}
	fmt.Println(err)
	// Output:
	// <nil>
	// not paid
	// {"job":"send_invoice","data":{"order_id":42}}
	// <nil>
}

// openDatabase opens a new file and makes the tables.
func openDatabase() (db *sql.DB, done func()) {
	dir, err := os.MkdirTemp("", "sqlqueue")
	if err != nil {
		log.Fatal(err)
	}
	file := filepath.Join(dir, "app.db")
	db, err = sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)"+
		"&_pragma=synchronous(NORMAL)&_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	migrator, err := migrations.New(db, migrations.SQLite, "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrator.Up(context.Background()); err != nil {
		log.Fatal(err)
	}
	if _, err := db.ExecContext(context.Background(), "CREATE TABLE orders (id INTEGER PRIMARY KEY)"); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		_ = db.Close()
		_ = os.RemoveAll(dir)
	}
}

package integration

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

// TestPostgresNotify: a notification takes a lock of the whole server, so thousands of pushes make few; one that is switched off makes none,
// and what rolls back tells of nothing.
func TestPostgresNotify(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine != "postgres" {
			t.Skip("NOTIFY is PostgreSQL's")
		}
		ctx := t.Context()
		dsn := migrated(t, s, "shop_")
		pool, err := pgxpool.New(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		q, err := pgqueue.New(pool, sqlqueue.Config{Prefix: "shop_"})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		if _, err := conn.Exec(ctx, "LISTEN shop_sqlqueue"); err != nil {
			t.Fatal(err)
		}
		push := func(q *sqlqueue.Queue, options ...sqlqueue.PushOption) {
			t.Helper()
			if _, err := q.Push(ctx, sqlqueue.Named("job", nil), options...); err != nil {
				t.Fatal(err)
			}
		}
		// heard counts the notifications until one of the queue "end", which is pushed to now.
		heard := func() map[string]int {
			t.Helper()
			push(q, sqlqueue.OnQueue("end"))
			counts := map[string]int{}
			for {
				said, err := conn.WaitForNotification(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if said.Payload == "end" {
					return counts
				}
				counts[said.Payload]++
			}
		}

		began := time.Now()
		for range 500 {
			push(q)
		}
		took := time.Since(began)
		if n := heard()["default"]; n < 1 || n > int(took/(5*time.Millisecond))+12 {
			t.Errorf("500 pushes in %v made %d notifications", took, n)
		}

		tx, err := pool.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		bound := pgqueue.WithTx(q, tx)
		for range 100 {
			push(bound, sqlqueue.OnQueue("one"))
			push(bound, sqlqueue.OnQueue("two"))
			push(bound, sqlqueue.OnQueue("later"), sqlqueue.Delay(time.Hour))
		}
		if err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if got := heard(); got["one"] != 1 || got["two"] != 1 || got["later"] != 0 {
			t.Errorf("a transaction made the notifications %v", got)
		}

		if tx, err = pool.Begin(ctx); err != nil {
			t.Fatal(err)
		}
		push(pgqueue.WithTx(q, tx), sqlqueue.OnQueue("rolled back"))
		if err := tx.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
		push(pgqueue.Quiet(q), sqlqueue.OnQueue("quiet"))
		if tx, err = pool.Begin(ctx); err != nil {
			t.Fatal(err)
		}
		push(pgqueue.Quiet(pgqueue.WithTx(q, tx)), sqlqueue.OnQueue("quiet"))
		if err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if got := heard(); len(got) != 0 {
			t.Errorf("without reason there are the notifications %v", got)
		}
	})
}

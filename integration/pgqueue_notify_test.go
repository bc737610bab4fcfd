package integration

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

// TestPostgresNotify: a notification takes a lock of the whole server, so thousands of pushes make few; one that is switched off makes
// none, and what rolls back tells of nothing.
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

// TestPostgresListensOnce: all that listen by one Queue share a connection, which lasts as long as any of them listens.
func TestPostgresListensOnce(t *testing.T) {
	t.Parallel()
	eachPostgres(t, func(t *testing.T, s *servers.Server) {
		dsn := migrated(t, s, "")
		q, db := postgresQueue(t, s, dsn), s.Open(t, dsn)
		listens := func(end bool) (n int) {
			t.Helper()
			query := "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"
			if end {
				query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() " +
					"AND query LIKE 'LISTEN %'"
			}
			if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		type listener struct {
			heard atomic.Int64
			end   context.CancelFunc
			ended chan error
		}
		listen := func(queue string) *listener {
			l := &listener{ended: make(chan error, 1)}
			ctx, end := context.WithCancel(t.Context())
			l.end = end
			go func() { l.ended <- q.Listen(ctx, []string{queue}, func() { l.heard.Add(1) }) }()
			await(t, "it listens", func() bool { return l.heard.Load() == 1 })
			return l
		}
		all := []*listener{listen("mail"), listen("mail"), listen("sms")}
		hear := func(queue string, want ...int64) {
			t.Helper()
			if n := listens(false); n != 1 {
				t.Errorf("%d connections listen, want 1", n)
			}
			if _, err := q.Push(t.Context(), sqlqueue.Named("job", nil), sqlqueue.OnQueue(queue)); err != nil {
				t.Fatal(err)
			}
			await(t, "they hear", func() bool {
				for i, l := range all {
					if l.heard.Load() != want[i] {
						return false
					}
				}
				return true
			})
		}
		hear("mail", 2, 2, 1)
		hear("sms", 2, 2, 2)
		all[0].end() // which had begun to listen
		if err := <-all[0].ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
		hear("mail", 2, 3, 2)
		if n := listens(true); n != 1 {
			t.Errorf("%d connections listened, want 1", n)
		}
		for _, l := range all[1:] { // each is told, and listens again
			if err := <-l.ended; err == nil {
				t.Error("its connection has broken, and it does not say so")
			}
		}
		await(t, "the server has ended it", func() bool { return listens(false) == 0 })
		all = []*listener{listen("mail"), listen("mail")}
		hear("mail", 2, 2)
		for _, l := range all {
			l.end()
			if err := <-l.ended; err == nil {
				t.Error("Listen has ended without an error")
			}
		}
		await(t, "the connection is closed", func() bool { return listens(false) == 0 })
	})
}

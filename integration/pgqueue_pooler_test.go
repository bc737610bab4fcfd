package integration

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
)

// TestPooler: behind pgbouncer in transaction mode, Check refuses a pool that prepares statements and says what to set; a pool that looks
// for poolers works, and so does the command line; and errors tell a pooler without its server from a server.
func TestPooler(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine != "postgres" {
			t.Skip("pgbouncer is for PostgreSQL")
		}
		direct := migrated(t, s, "")
		bouncer, dsn := servers.NewPgbouncer(t, direct, "")
		awaitAnswer(t, dsn)

		if _, q := pooled(t, direct, nil); q.Check(t.Context()) != nil {
			t.Errorf("without a pooler: %v", q.Check(t.Context()))
		}
		_, q := pooled(t, dsn, nil)
		if err := q.Check(t.Context()); !errors.Is(err, sqlqueue.ErrUnsupportedServer) ||
			!strings.Contains(err.Error(), "default_query_exec_mode=exec") {
			t.Errorf("prepared statements: Check says %v", err)
		}

		pool, q := pooled(t, dsn, pgqueue.DetectPooler)
		if err := q.Check(t.Context()); err != nil {
			t.Errorf("with DetectPooler: Check says %v", err)
		}
		if mode := execMode(t, pool); mode != pgx.QueryExecModeExec {
			t.Errorf("with DetectPooler: the mode is %v", mode)
		}
		if pool, _ := pooled(t, direct, pgqueue.DetectPooler); execMode(t, pool) != pgx.QueryExecModeCacheStatement {
			t.Errorf("with DetectPooler and no pooler: the mode is %v", execMode(t, pool))
		}
		if _, err := q.PushMany(t.Context(), []sqlqueue.Pushable{sqlqueue.Named("x", 1), sqlqueue.Named("y", 2)}); err != nil {
			t.Error(err)
		}

		c := &command{t: t, binary: binary, server: s, dsn: dsn}
		c.ok("push", "z", "{}", "--unique", "k")
		for range 3 {
			if jobs := c.ok("jobs", "list"); strings.Count(jobs, "ready") != 3 {
				t.Errorf("the command lists %s", jobs)
			}
		}
		c.ok("work", "--exec", "true", "--stop-when-empty")

		_, session := servers.NewPgbouncer(t, direct, "pool_mode = session\n")
		awaitAnswer(t, session)
		if _, q := pooled(t, session, nil); q.Check(t.Context()) != nil {
			t.Errorf("in session mode: %v", q.Check(t.Context()))
		}

		bouncer.Kill(t)
		if _, stderr, code := c.run("queues"); code == 0 || !strings.Contains(stderr, "refused") {
			t.Errorf("no pooler: exit code %d, %s", code, stderr)
		}
	})
}

// TestPoolerWithoutServer: who asks a pooler whose server is down is told so.
func TestPoolerWithoutServer(t *testing.T) {
	t.Parallel()
	nowhere := "postgres://nobody:secret@127.0.0.1:" + servers.FreePort(t) + "/x?sslmode=disable"
	_, dsn := servers.NewPgbouncer(t, nowhere, "query_wait_timeout = 1\n")
	_, q := pooled(t, dsn, nil)
	var err error
	await(t, "the pooler answers", func() bool {
		_, err = q.Push(t.Context(), sqlqueue.Named("x", nil))
		return err == nil || !strings.Contains(err.Error(), "connection refused")
	})
	if err == nil || !strings.Contains(err.Error(), "a pooler answers, and does not reach its server") {
		t.Errorf("the error is %v", err)
	}
}

// pooled makes a pool, and a Queue over it.
func pooled(t *testing.T, dsn string, configure func(*pgxpool.Config)) (*pgxpool.Pool, *sqlqueue.Queue) {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if configure != nil {
		configure(config)
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	q, err := pgqueue.New(pool, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return pool, q
}

func execMode(t *testing.T, pool *pgxpool.Pool) pgx.QueryExecMode {
	t.Helper()
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	return conn.Conn().Config().DefaultQueryExecMode
}

// awaitAnswer waits until a server, or a program before it, answers.
func awaitAnswer(t *testing.T, dsn string) {
	t.Helper()
	await(t, "a connection", func() bool {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err == nil {
			_ = conn.Close(t.Context())
		}
		return err == nil
	})
}

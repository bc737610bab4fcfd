package integration

import (
	"bytes"
	"context"
	"database/sql"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/lib/pq"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/migrations"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/mysqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/pgqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
	"github.com/sqlqueue/sqlqueue/sqlqueue/storetest"
)

// TestConformance runs the suite on every server, and once for each store with a prefix, in another time zone, and with jobs in partitions
// or ids in steps, and on PostgreSQL once in a schema: the statements are the same on all of its servers.
func TestConformance(t *testing.T) {
	t.Parallel()
	first := firstOfStores(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		t.Run("plain", func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, pool(func() *tables { return newTables(t, s, "") }), storetest.Parallel)
		})
		if !slices.Contains(first, s) {
			return
		}
		t.Run("with a prefix, abroad", func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, pool(func() *tables {
				tables := newTables(t, s, "App2_")
				tables.dsn = tables.abroad(t)
				if !tables.mysql() {
					mustExec(t, s.Open(t, tables.dsn), partitioning(t, tables.prefix, "hash"))
				} else { // as on each node of a cluster with several primaries
					tables.dsn = with(t, with(t, tables.dsn, "auto_increment_increment", "7"), "auto_increment_offset", "2")
				}
				return tables
			}), storetest.Parallel, storetest.WithoutLong, storetest.WithoutConcurrency)
		})
		if s.Engine != "postgres" {
			return
		}
		t.Run("with a schema", func(t *testing.T) { // that is not in the search_path
			t.Parallel()
			storetest.Run(t, pool(func() *tables {
				const schema = "Queue"
				return &tables{server: s, schema: schema, dsn: migrated(t, s, "", migrations.Schema(schema))}
			}), storetest.Parallel, storetest.WithoutLong, storetest.WithoutConcurrency)
		})
	})
}

// pool gives each case tables that no other case has at the same time.
func pool(another func() *tables) func(testing.TB) storetest.Database {
	var mu sync.Mutex
	var free []*tables
	return func(tb testing.TB) storetest.Database {
		tb.Helper()
		mu.Lock()
		var own *tables
		if n := len(free); n > 0 {
			own, free = free[n-1], free[:n-1]
		}
		mu.Unlock()
		if own == nil {
			own = another()
		}
		tb.Cleanup(func() { // after all that the case cleans up later
			mu.Lock()
			defer mu.Unlock()
			free = append(free, own)
		})
		return own.database(tb)
	}
}

// firstOfStores returns the first server of each store: pgqueue and mysqlqueue.
func firstOfStores(t *testing.T) (first []*servers.Server) {
	t.Helper()
	found := map[bool]bool{}
	for _, s := range servers.All(t) {
		if postgres := s.Engine == "postgres"; !found[postgres] {
			found[postgres] = true
			first = append(first, s)
		}
	}
	return first
}

// TestWithoutSkipLocked: reservations have single owners also on a server that takes SKIP LOCKED and ignores it, as TiDB does.
func TestWithoutSkipLocked(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		withoutSkipLocked(t, s, "SKIP LOCKED", "           ")
	})
}

// TestSkipLockedLocksNothing: they have single owners also on TiDB, where a SELECT with SKIP LOCKED locks no row.
func TestSkipLockedLocksNothing(t *testing.T) {
	t.Parallel()
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		if s.Engine == "postgres" {
			t.Skip("for MySQL and MariaDB")
		}
		withoutSkipLocked(t, s, "VERSION()", "'TiDB'   ", "FOR UPDATE SKIP LOCKED", "                      ")
	})
}

// withoutSkipLocked runs the cases of concurrency on a server that reads other words, each of the same length.
func withoutSkipLocked(t *testing.T, s *servers.Server, words ...string) {
	t.Helper()
	tables := newTables(t, s, "")
	tables.eraser = &eraser{words: words}
	tables.hasten(t)
	storetest.RunConcurrency(t, tables.database)
	if tables.eraser.erased.Load() == 0 {
		t.Errorf("no statement had %s, so nothing was tested", words[0])
	}
}

func BenchmarkStore(b *testing.B) {
	for _, s := range servers.All(b) {
		b.Run(s.String(), func(b *testing.B) { storetest.Bench(b, newTables(b, s, "").database) })
	}
}

// tables are sqlqueue's tables in a database of their own.
type tables struct {
	server *servers.Server
	schema string
	prefix string
	dsn    string
	eraser *eraser // nil: SKIP LOCKED works
}

func newTables(tb testing.TB, s *servers.Server, prefix string) *tables {
	tb.Helper()
	return &tables{server: s, prefix: prefix, dsn: migrated(tb, s, prefix)}
}

// abroad is the address for sessions in another time zone than the server's.
func (d *tables) abroad(tb testing.TB) string {
	tb.Helper()
	if d.mysql() {
		return with(tb, d.dsn, "time_zone", "'+09:00'")
	}
	return with(tb, d.dsn, "timezone", "Asia/Tokyo")
}

// database empties the tables, which is quicker than to make others. What goes past the stores, and callers' transactions, are always
// abroad.
func (d *tables) database(tb testing.TB) storetest.Database {
	tb.Helper()
	db, quote := d.server.Open(tb, d.abroad(tb)), `"`
	if d.mysql() {
		quote = "`"
	}
	table := (&sqldb.Database{Schema: d.schema, Prefix: d.prefix, Dialect: sqldb.Dialect{Quote: quote}}).Table
	for _, name := range sqldb.Tables() {
		if name == "job_schema" { // it says which programs can work with the tables
			continue
		}
		if _, err := db.ExecContext(tb.Context(), "DELETE FROM "+table(name)); err != nil {
			tb.Fatal(err)
		}
	}
	database := storetest.Database{Open: d.open, SQL: db, Table: table, RowLocks: true}
	if d.mysql() {
		database.OddIDs = true
		database.Transactions = []storetest.Transactions{storetest.SQLTransactions("*sql.Tx", db, mysqlqueue.WithTx)}
		return database
	}
	database.Placeholder = func(n int) string { return "$" + strconv.Itoa(n) }
	database.Transactions = []storetest.Transactions{
		pgxTransactions("pgx.Tx", d.pool(tb), pgx.TxOptions{}),
		pgxTransactions("pgx.Tx, repeatable read", d.pool(tb), pgx.TxOptions{IsoLevel: pgx.RepeatableRead}),
		storetest.SQLTransactions("*sql.Tx of pgx", db, pgqueue.WithSQLTx),
		storetest.SQLTransactions("*sql.Tx of lib/pq", openPQ(tb, d.abroad(tb)), pgqueue.WithSQLTx),
	}
	return database
}

func (d *tables) mysql() bool { return d.server.Engine != "postgres" }

func (d *tables) open(tb testing.TB) *sqlqueue.Queue {
	tb.Helper()
	config := sqlqueue.Config{Schema: d.schema, Prefix: d.prefix}
	var q *sqlqueue.Queue
	var err error
	if d.mysql() {
		q, err = mysqlqueue.New(d.mysqlPool(tb), config)
	} else {
		q, err = pgqueue.New(d.pool(tb), config)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func (d *tables) pool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	config, err := pgxpool.ParseConfig(d.dsn)
	if err != nil {
		tb.Fatal(err)
	}
	if d.eraser != nil {
		config.ConnConfig.DialFunc = d.eraser.dial(config.ConnConfig.DialFunc)
	}
	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(tb.Context()), config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

func (d *tables) mysqlPool(tb testing.TB) *sql.DB {
	tb.Helper()
	if d.eraser == nil {
		return d.server.Open(tb, d.dsn)
	}
	address, err := url.Parse(d.dsn)
	if err != nil {
		tb.Fatal("the address of the test's database is not one")
	}
	config := mysql.NewConfig()
	config.Net, config.Addr, config.DBName = "tcp", address.Host, address.Path[1:]
	config.User = address.User.Username()
	config.Passwd, _ = address.User.Password()
	dial := d.eraser.dial(new(net.Dialer).DialContext)
	config.DialFunc = dial
	connector, err := mysql.NewConnector(config)
	if err != nil {
		tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// hasten has PostgreSQL look for deadlocks sooner than after a second, if it lets us: without SKIP LOCKED there are many.
func (d *tables) hasten(tb testing.TB) {
	tb.Helper()
	if d.mysql() {
		return
	}
	db := d.server.Open(tb, d.dsn)
	var may bool
	if err := db.QueryRowContext(tb.Context(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&may); err != nil {
		tb.Fatal(err)
	}
	if may {
		d.dsn = with(tb, d.dsn, "deadlock_timeout", "20ms")
	}
}

func openPQ(tb testing.TB, dsn string) *sql.DB {
	tb.Helper()
	if !strings.Contains(dsn, "sslmode=") {
		dsn = with(tb, dsn, "sslmode", "disable") // unlike pgx, lib/pq insists on TLS
	}
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// with adds a parameter to an address.
func with(tb testing.TB, dsn, key, value string) string {
	tb.Helper()
	address, err := url.Parse(dsn)
	if err != nil {
		tb.Fatal("the address of the test's database is not one")
	}
	query := address.Query()
	query.Set(key, value)
	address.RawQuery = query.Encode()
	return address.String()
}

// pgxTransactions is the way through a pgx.Tx.
func pgxTransactions(name string, pool *pgxpool.Pool, options pgx.TxOptions) storetest.Transactions {
	return storetest.Transactions{
		Name: name,
		Begin: func(ctx context.Context, q *sqlqueue.Queue) (*sqlqueue.Queue, storetest.Tx, error) {
			tx, err := pool.BeginTx(ctx, options)
			if err != nil {
				return nil, nil, err
			}
			return pgqueue.WithTx(q, tx), pgxTx{tx}, nil
		},
	}
}

type pgxTx struct{ pgx.Tx }

func (t pgxTx) Exec(ctx context.Context, query string) error {
	_, err := t.Tx.Exec(ctx, query)
	return err
}

// eraser overwrites words in what is sent to a server.
type eraser struct {
	words  []string // each followed by its replacement, of the same length
	erased atomic.Int64
}

func (e *eraser) dial(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &erasingConn{conn, e}, nil
	}
}

type erasingConn struct {
	net.Conn
	eraser *eraser
}

// Write sends p, whose length the protocols know, with other text of the same length. Both drivers write a statement in one call.
func (c *erasingConn) Write(p []byte) (int, error) {
	for pair := range slices.Chunk(c.eraser.words, 2) {
		if n := bytes.Count(p, []byte(pair[0])); n > 0 {
			c.eraser.erased.Add(int64(n))
			p = bytes.ReplaceAll(p, []byte(pair[0]), []byte(pair[1]))
		}
	}
	return c.Conn.Write(p)
}

package sqlitequeue

import (
	"database/sql"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/storetest"
)

func TestStore(t *testing.T) {
	t.Run("WAL", func(t *testing.T) { storetest.Run(t, database("WAL", "", 0), storetest.Parallel) })
	t.Run("rollback journal, one connection", func(t *testing.T) {
		storetest.Run(t, database("DELETE", "p_", 1), storetest.Parallel, storetest.WithoutLong)
	})
}

func BenchmarkStore(b *testing.B) { storetest.Bench(b, database("WAL", "", 0)) }

// database opens a new file for each test. The stores wait for each other by themselves, the caller's transactions by busy_timeout.
func database(journal, prefix string, connections int) func(testing.TB) storetest.Database {
	return func(tb testing.TB) storetest.Database {
		path := migratedFile(tb, journal, prefix)
		callers := must(sql.Open("sqlite", address(path, journal)+"&_pragma=busy_timeout(10000)"))(tb)
		tb.Cleanup(func() { _ = callers.Close() })
		return storetest.Database{
			Open: func(tb testing.TB) *sqlqueue.Queue {
				db := openPath(tb, path, journal)
				db.SetMaxOpenConns(connections)
				return must(New(db, sqlqueue.Config{Prefix: prefix}))(tb)
			},
			SQL:          callers,
			Table:        func(name string) string { return `"` + prefix + name + `"` },
			Transactions: []storetest.Transactions{storetest.SQLTransactions("*sql.Tx", callers, WithTx)},
		}
	}
}

package mysqlqueue

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

func newQueue(t *testing.T, config sqlqueue.Config) *sqlqueue.Queue {
	t.Helper()
	db, err := sql.Open("mysql", "nobody@tcp(127.0.0.1:1)/nothing")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	q, err := New(db, config)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestNewChecksItsArguments(t *testing.T) {
	if _, err := New(nil, sqlqueue.Config{}); err == nil {
		t.Error("New took a nil *sql.DB")
	}
	if _, err := New(new(sql.DB), sqlqueue.Config{Prefix: "a-b"}); err == nil {
		t.Error("New took a prefix with a hyphen")
	}
	_, err := New(new(sql.DB), sqlqueue.Config{Schema: "app"})
	if err == nil || !strings.Contains(err.Error(), "name another database in the address") {
		t.Errorf("with a schema: %v", err)
	}
}

// otherStore is the store of another database.
type otherStore struct{ driver.Store }

// wrapper is a store around a store.
type wrapper struct{ driver.Store }

func (w wrapper) Unwrap() driver.Store { return w.Store }

func TestWithTxFindsItsStore(t *testing.T) {
	q := newQueue(t, sqlqueue.Config{})
	wrapped := q.Bind(func(s driver.Store) (driver.Store, error) { return wrapper{wrapper{s}}, nil })
	other, err := sqlqueue.New(wrapper{otherStore{}}, sqlqueue.Config{})
	if err != nil {
		t.Fatal(err)
	}
	tx := new(sql.Tx)
	for _, c := range []struct {
		name string
		q    *sqlqueue.Queue
		want string // the error of an operation; empty: bound
	}{
		{"its own", WithTx(q, tx), ""},
		{"a wrapped one", WithTx(wrapped, tx), ""},
		{"one that is bound", WithTx(WithTx(q, new(sql.Tx)), tx), ""},
		{"another database's", WithTx(other, tx), "not made by mysqlqueue"},
		{"no transaction", WithTx(q, nil), "is nil"},
	} {
		var bound *store
		c.q.Bind(func(s driver.Store) (driver.Store, error) {
			bound, _ = s.(*store)
			return s, nil
		})
		if c.want == "" {
			if bound == nil || bound.bound != tx || bound.known == nil {
				t.Errorf("%s: the store is %+v", c.name, bound)
			}
			continue
		}
		if _, err := c.q.Push(context.Background(), sqlqueue.Named("x", nil)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestBoundExchangeSettlesOnly(t *testing.T) {
	q := WithTx(newQueue(t, sqlqueue.Config{}), new(sql.Tx))
	for name, x := range map[string]driver.Exchange{
		"touch":   {Touch: []driver.Touch{{}}},
		"abandon": {Abandoned: []string{"w-1"}},
		"requeue": {Requeue: 1},
		"reserve": {Limit: 1, Number: "w-1"},
	} {
		if _, err := q.Exchange(context.Background(), x); err == nil || !strings.Contains(err.Error(), "only be settled") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNamesHaveThePrefix(t *testing.T) {
	s := &store{names: (&sqldb.Database{Dialect: dialect, Prefix: "App2_"}).Names("{", "}")}
	const want = "SELECT id FROM `App2_jobs` FORCE INDEX (`App2_jobs_ready`) LIMIT 3"
	if got := s.sql("SELECT id FROM {jobs} FORCE INDEX ({jobs_ready}) LIMIT %d", 3); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLiterals(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{text(""), "_utf8mb4 X''"},
		{text(`a"日%?`), `_utf8mb4'a"日%?'`},
		{text(`a'"`), "_utf8mb4 X'612722'"},
		{text(`a\`), "_utf8mb4 X'615c'"},
		{texts([]string{"a", "b"}), "_utf8mb4'a', _utf8mb4'b'"},
		{integers([]int64{7, 3}), "3,7,9223372036854775783"},
		{after(0), "UTC_TIMESTAMP(6)"},
		{after(1500), "UTC_TIMESTAMP(6) + INTERVAL 1 MICROSECOND"},
		{byID(""), "0"},
		{byID(" WHEN 1 THEN 5"), "CASE id WHEN 1 THEN 5 ELSE 0 END"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

package open

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

// TestPostgresPool: what an address does not say about the pool is made for workers; what it says counts.
func TestPostgresPool(t *testing.T) {
	for parameters, want := range map[string]struct {
		idle   time.Duration
		mode   pgx.QueryExecMode
		detect bool
	}{
		"":                              {idleTime, pgx.QueryExecModeCacheStatement, true},
		"?pool_max_conn_idle_time=5m":   {5 * time.Minute, pgx.QueryExecModeCacheStatement, true},
		"?default_query_exec_mode=exec": {idleTime, pgx.QueryExecModeExec, false},
		"?default_query_exec_mode=cache_statement": {idleTime, pgx.QueryExecModeCacheStatement, false},
	} {
		a, err := ParseAddress("postgres://app:secret@db.example/shop" + parameters)
		if err != nil {
			t.Fatal(err)
		}
		config, err := postgresConfig(&a)
		if err != nil {
			t.Fatal(err)
		}
		if config.MaxConnIdleTime != want.idle || config.ConnConfig.DefaultQueryExecMode != want.mode ||
			(config.BeforeConnect != nil) != want.detect {
			t.Errorf("%q: idle %v, mode %v, looks for poolers %v; want %+v", parameters, config.MaxConnIdleTime,
				config.ConnConfig.DefaultQueryExecMode, config.BeforeConnect != nil, want)
		}
	}
}

// What receivers of webhooks compare tells tables in different schemas apart.
func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		config sqlqueue.Config
		want   string
	}{
		{sqlqueue.Config{}, "postgres/shop/"},
		{sqlqueue.Config{Prefix: "p_"}, "postgres/shop/p_"},
		{sqlqueue.Config{Schema: "a", Prefix: "p_"}, "postgres/shop/a.p_"},
	} {
		d, err := Open(Settings{DSN: "postgres://app@127.0.0.1:1/shop", Config: c.config}, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Identity(); got != c.want {
			t.Errorf("schema %q, prefix %q: %s, want %s", c.config.Schema, c.config.Prefix, got, c.want)
		}
		d.Close()
	}
}

package chaos

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"syscall"
	"time"
)

// fault breaks something for a while and mends it again.
type fault struct {
	name   string
	server bool // it is about a server, or the way to it
	own    bool // it is one that only a server of the test's own may have
	do     func(*world)
}

// faults are those that can be done to a usual workload, in the order of their kinds: workers, server, network.
var faults = []fault{
	{name: "kill -9 of workers", do: func(w *world) {
		for range 4 {
			w.team.signal(w.team.any(), syscall.SIGKILL)
			w.pass(500 * time.Millisecond)
		}
	}},
	{name: "a worker stands still for longer than expire", do: func(w *world) {
		m := w.team.any()
		w.team.signal(m, syscall.SIGSTOP)
		w.pass(2 * expire)
		w.team.signal(m, syscall.SIGCONT)
	}},
	{name: "a storm of TERM", do: func(w *world) {
		for range 5 {
			m := w.team.any()
			for range 1 + w.random.IntN(3) {
				w.team.signal(m, syscall.SIGTERM)
			}
			w.pass(300 * time.Millisecond)
		}
	}},
	{name: "workers restart in a loop", do: func(w *world) {
		for range 3 {
			for _, m := range w.team.members {
				w.team.signal(m, syscall.SIGTERM)
			}
			w.pass(800 * time.Millisecond)
		}
	}},
	{name: "a rolling deploy, and back", do: func(w *world) {
		w.deploy("new")
		w.deploy("old")
	}},
	{name: "workers reach their memory limit", do: func(w *world) {
		w.team.replace("old", "--memory", "10")
		w.pass(3 * time.Second)
		w.team.replace("old")
	}},
	{name: "the clocks of workers are off by hours", server: true, do: func(w *world) {
		w.team.replace("ahead")
		w.pass(time.Second)
		w.deploy("behind")
		w.pass(2 * time.Second)
		w.team.replace("old")
	}},

	{name: "kill -9 of the server", server: true, own: true, do: func(w *world) { w.restart(true) }},
	{name: "the server stops and starts", server: true, own: true, do: func(w *world) { w.restart(false) }},
	{name: "the server hangs for longer than expire", server: true, own: true, do: func(w *world) {
		thaw := w.own.Freeze(w.T)
		w.pass(2 * expire)
		thaw()
	}},
	{name: "connections are killed one by one", server: true, do: func(w *world) {
		for range 30 {
			w.killConnection()
			w.pass(100 * time.Millisecond)
		}
	}},
	{name: "all connections are used up", server: true, own: true, do: useUpConnections},
	{name: "the server is read-only", server: true, own: true, do: func(w *world) {
		w.readOnly(true)
		w.pass(3 * time.Second)
		w.readOnly(false)
	}},
	{name: "another time zone", server: true, own: true, do: func(w *world) {
		if w.engine == "postgres" {
			w.exec("ALTER DATABASE " + w.name + " SET timezone TO 'Asia/Kathmandu'")
		} else {
			w.exec("SET GLOBAL time_zone = '+05:45'")
		}
		w.killConnections()
		w.pass(time.Second)
	}},
	{name: "SERIALIZABLE is the default", server: true, own: true, do: func(w *world) { w.isolate("SERIALIZABLE") }},
	{name: "REPEATABLE READ is the default", server: true, own: true, do: func(w *world) { w.isolate("REPEATABLE READ") }},

	{name: "bad rows of every kind", do: badRows},
	{name: "workers have no descriptors left", do: starve},
	{name: "transactions that commit after a stall of the server", server: true, own: true, do: lateCommit},
	{name: "connections hang at the rollback after an error", server: true, own: true, do: func(w *world) {
		w.readOnly(true)
		w.toxic(2*expire, hangAtRollback, "upstream", 0.5, map[string]any{})
		w.readOnly(false)
	}},
	{name: "a slow network with large payloads", server: true, do: func(w *world) {
		pushHuge(w, 12, 300_000)
		w.toxic(3*time.Second, "bandwidth", "downstream", 1, map[string]any{"rate": 200}) // KB/s
	}},

	{name: "latency and jitter", server: true, do: func(w *world) {
		w.toxic(3*time.Second, "latency", "downstream", 1, map[string]any{"latency": 50, "jitter": 50})
	}},
	{name: "a slow network", server: true, do: func(w *world) {
		w.toxic(3*time.Second, "bandwidth", "downstream", 1, map[string]any{"rate": 20}) // KB/s
	}},
	{name: "resets in the middle of answers", server: true, do: func(w *world) {
		for range 8 {
			w.toxic(400*time.Millisecond, "limit_data", "downstream", 0.5, map[string]any{"bytes": 100 + w.random.IntN(3000)})
		}
	}},
	{name: "resets in the middle of statements", server: true, do: func(w *world) {
		for range 8 {
			w.toxic(400*time.Millisecond, "limit_data", "upstream", 0.5, map[string]any{"bytes": 100 + w.random.IntN(3000)})
		}
	}},
	{name: "cuts at COMMIT", server: true, do: func(w *world) {
		w.toxic(3*time.Second, cutAtCommit, "upstream", 0.5, map[string]any{})
	}},
	{name: "a black hole for longer than expire", server: true, do: func(w *world) {
		w.toxic(2*expire, "timeout", "downstream", 1, map[string]any{"timeout": 0}, "upstream")
	}},
	{name: "a half-open network", server: true, do: func(w *world) {
		w.toxic(2*expire, "timeout", "downstream", 1, map[string]any{"timeout": 0})
	}},
	{name: "the network is down", server: true, do: func(w *world) {
		w.proxy.Stop()
		w.pass(2 * expire)
		w.must(w.proxy.Start())
	}},
}

// impossible says why a fault cannot be done to a world, or nothing.
func (w *world) impossible(f fault) string {
	switch {
	case f.server && w.engine == "sqlite":
		return "SQLite has no server"
	case f.own && w.own == nil:
		return "the server is not the test's own"
	}
	return ""
}

// deploy replaces the workers one after the other.
func (w *world) deploy(version string) {
	for i := range w.team.members {
		w.team.replaceOne(i, version)
		w.pass(500 * time.Millisecond)
	}
}

func (w *world) restart(kill bool) {
	w.own.Stop(w.T, kill)
	w.pass(expire)
	w.own.Start(w.T)
}

// killConnection kills a connection of the application's user.
func (w *world) killConnection() {
	w.Helper()
	if w.engine == "postgres" {
		w.exec("SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE usename = '" + user +
			"' AND datname = current_database() ORDER BY random() LIMIT 1) AS one")
		return
	}
	var id int64
	err := w.admin.QueryRowContext(w.Context(),
		"SELECT id FROM information_schema.processlist WHERE user = ? AND db = ? ORDER BY RAND() LIMIT 1",
		user, w.name).Scan(&id)
	if err == nil {
		_, _ = w.admin.ExecContext(w.Context(), fmt.Sprintf("KILL %d", id)) // it may have gone by itself
	}
}

func (w *world) killConnections() {
	for range 60 {
		w.killConnection()
	}
}

// useUpConnections takes connections until the server gives no more, and holds them.
func useUpConnections(w *world) {
	w.exec(map[string]string{
		"postgres": "ALTER ROLE " + user + " CONNECTION LIMIT 4",
		"mariadb":  "SET GLOBAL max_connections = 10",
		"mysql":    "SET GLOBAL max_connections = 10",
	}[w.engine])
	var held []*sql.Conn
	greedy := w.open(w.direct)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); w.pass(50 * time.Millisecond) {
		w.killConnection() // who goes away does not come in again
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		if conn, err := greedy.Conn(ctx); err == nil {
			held = append(held, conn)
		}
		cancel()
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	_ = greedy.Close()
	w.exec(map[string]string{
		"postgres": "ALTER ROLE " + user + " CONNECTION LIMIT -1",
		"mariadb":  "SET GLOBAL max_connections = 400",
		"mysql":    "SET GLOBAL max_connections = 400",
	}[w.engine])
}

// readOnly makes the database refuse writes, as a server that has become a replica does.
func (w *world) readOnly(on bool) {
	switch w.engine {
	case "postgres":
		w.exec(fmt.Sprintf("ALTER ROLE %s SET default_transaction_read_only TO %v", user, on))
		w.killConnections()
	default:
		w.exec(fmt.Sprintf("SET GLOBAL read_only = %v", on))
	}
}

// isolate makes another isolation level the server's default, for a while.
func (w *world) isolate(level string) {
	set := func(level string) {
		switch w.engine {
		case "postgres":
			w.exec(fmt.Sprintf("ALTER DATABASE %s SET default_transaction_isolation TO '%s'", w.name, level))
		default:
			w.exec(fmt.Sprintf("SET GLOBAL TRANSACTION ISOLATION LEVEL %s", level))
		}
		w.killConnections()
	}
	set(level)
	w.pass(3 * time.Second)
	set(map[string]string{"postgres": "READ COMMITTED", "mariadb": "REPEATABLE READ", "mysql": "REPEATABLE READ"}[w.engine])
}

// toxic has the proxy do something to connections, to a share of them, for a while.
func (w *world) toxic(lasts time.Duration, kind, stream string, share float64, attributes map[string]any, streams ...string) {
	w.Helper()
	for _, stream := range append(streams, stream) {
		text, err := json.Marshal(map[string]any{
			"name": kind + "_" + stream, "type": kind, "stream": stream, "toxicity": share, "attributes": attributes,
		})
		w.must(err)
		_, err = w.proxy.Toxics.AddToxicJson(bytes.NewReader(text))
		w.must(err)
	}
	w.pass(lasts)
	w.proxy.Toxics.ResetToxics(context.WithoutCancel(w.Context()))
}

package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/go-sql-driver/mysql"
	"github.com/rs/zerolog"

	"github.com/sqlqueue/sqlqueue/integration/internal/built"
	"github.com/sqlqueue/sqlqueue/integration/internal/opened"
	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// Drivers and proxies log what they meet, which here is thousands of broken connections.
func TestMain(m *testing.M) {
	zerolog.SetGlobalLevel(zerolog.Disabled)
	if err := mysql.SetLogger(log.New(io.Discard, "", 0)); err != nil {
		panic(err)
	}
	flag.Parse()
	const worlds = 6 // at once: they mostly wait
	if err := flag.Set("test.parallel", strconv.Itoa(worlds)); err != nil {
		panic(err)
	}
	servers.Main(m, built.Remove, removeOverlays)
}

// Expire of the workers' reservations: short, so that what a fault leaves behind comes back within the test.
const expire = 2 * time.Second

// world is where a workload runs and faults are done to it.
type world struct {
	*testing.T
	engine   string
	binaries map[string]string // of the workers, by version
	history  string            // directory
	random   *rand.Rand

	own   *servers.OwnServer // nil: a server that cannot be stopped, or SQLite
	admin *sql.DB            // of the server's administrator; nil: SQLite
	name  string             // of the database
	proxy *toxiproxy.Proxy   // nil: SQLite

	direct string   // address of the database for the application's user
	dsn    string   // the same, through the proxy
	nodes  []string // addresses of the same database, over which workers and producers are spread; nil: dsn alone

	groups bool // chains, batches and limited queues are among its work

	team     *team
	pushing  func() // ends the producers
	produced *Journal
	refusals sync.Map // errors of pushes, by token
}

// place is a database engine that worlds can be on.
type place struct {
	server *servers.Server    // nil: SQLite
	own    *servers.OwnServer // nil: the server is shared, and cannot be stopped
}

// everywhere runs a test on every engine, all at once.
func everywhere(t *testing.T, test func(*testing.T, place)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, place{})
	})
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		test(t, place{s, servers.OwnLike(t, s)})
	})
}

// newWorld makes a world with nobody in it.
func newWorld(t *testing.T, at place, binaries map[string]string, random *rand.Rand) *world {
	t.Helper()
	w := &world{T: t, binaries: binaries, history: t.TempDir(), random: random, own: at.own, pushing: func() {}}
	switch {
	case at.server == nil:
		w.engine = "sqlite"
		w.direct = "sqlite:" + filepath.Join(t.TempDir(), "jobs.db")
		w.dsn = w.direct
	case at.own != nil:
		w.useServer(at.own.Server)
	default:
		w.useServer(at.server)
	}
	w.begin()
	return w
}

// begin makes the tables and the producers' journal.
func (w *world) begin() {
	w.Helper()
	w.migrate("up")
	effects := "CREATE TABLE effects (token VARCHAR(100) NOT NULL)"
	if strings.HasPrefix(w.direct, "mysql:") { // clusters want a primary key
		effects = "CREATE TABLE effects (token VARCHAR(100) NOT NULL, id BIGINT AUTO_INCREMENT PRIMARY KEY)"
	}
	_, err := w.open(w.direct).ExecContext(w.Context(), effects)
	w.must(err)
	w.produced, err = Create(w.history, "producers")
	w.must(err)
	w.Cleanup(func() { w.must(w.produced.Close()) })
}

// user is the name of the application's user: the administrator is let in when others are not.
const user = "chaos"

func (w *world) useServer(server *servers.Server) {
	w.engine = server.Engine
	dsn := server.NewDatabase(w)
	w.admin = server.Open(w, dsn)
	address, err := url.Parse(dsn)
	w.must(err)
	w.name = strings.TrimPrefix(address.Path, "/")
	if w.engine == "postgres" {
		w.exec("DO $$ BEGIN CREATE ROLE " + user +
			" LOGIN PASSWORD 'secret'; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$")
		w.exec("GRANT ALL ON SCHEMA public TO " + user)
	} else {
		w.exec("CREATE USER IF NOT EXISTS " + user + "@'%' IDENTIFIED BY 'secret'")
		w.exec("GRANT ALL ON " + w.name + ".* TO " + user + "@'%'")
	}
	address.User = url.UserPassword(user, "secret")
	w.direct = address.String()

	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.New(io.Discard))
	w.proxy = toxiproxy.NewProxy(proxies, "database", "127.0.0.1:0", address.Host)
	w.must(w.proxy.Start())
	w.Cleanup(w.proxy.Stop)
	address.Host = w.proxy.Listen
	w.dsn = address.String()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) exec(query string) {
	w.Helper()
	if _, err := w.admin.ExecContext(w.Context(), query); err != nil {
		w.Fatalf("%s: %v", query, err)
	}
}

// address is where the nth worker or producer connects to.
func (w *world) address(n int) string {
	if w.nodes == nil {
		return w.dsn
	}
	return w.nodes[n%len(w.nodes)]
}

// migrate runs sqlqueue's command.
func (w *world) migrate(args ...string) {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), w.binaries["old"], append([]string{"migrate"}, args...)...)
	cmd.Env = append(os.Environ(), "SQLQUEUE_DSN="+w.direct)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("migrate %q: %v: %s", args, err, out)
	}
}

// open opens an address until the test ends.
func (w *world) open(dsn string) *opened.Database {
	w.Helper()
	database, err := opened.Open(dsn)
	w.must(err)
	w.Cleanup(func() { _ = database.Close() })
	return database
}

// await waits until condition holds, and tells whether it came to it.
func (w *world) await(most time.Duration, condition func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(w.Context(), most)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !condition(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// pass lets the workload go on for a while.
func (w *world) pass(d time.Duration) {
	select {
	case <-time.After(d):
	case <-w.Context().Done():
	}
}

// settle ends the producers, waits until every job has come to its end, ends the workers, and checks.
func (w *world) settle() {
	w.Helper()
	const most = 3 * time.Minute
	w.pushing()
	database := w.open(w.direct)
	count := -1
	left := "SELECT count(*) FROM jobs"
	if w.groups {
		left = "SELECT (" + left + ") + (SELECT count(*) FROM job_batches WHERE sealed_at IS NOT NULL AND finished_at IS NULL)"
	}
	if !w.await(most, func(ctx context.Context) bool {
		return database.QueryRowContext(ctx, left).Scan(&count) == nil && count == 0
	}) {
		w.Errorf("%d jobs and batches have not come to their end", count)
	}
	w.team.stop()
	events, err := Read(w.history)
	w.must(err)
	wrong := Check(events, w.tables(database))
	const show = 20
	for _, text := range wrong[:min(show, len(wrong))] {
		w.Error(text)
		if err, ok := w.refusals.Load(strings.Fields(text)[0]); ok {
			w.Logf("its push said: %v", err)
		}
	}
	if len(wrong) > show {
		w.Errorf("and %d more", len(wrong)-show)
	}
	w.Log(summary(events))
	if w.Failed() {
		w.team.report()
	}
}

// summary counts what the history tells.
func summary(events []Event) string {
	n := map[string]int{}
	for _, e := range events {
		n[e.What]++
	}
	return fmt.Sprintf("pushes: %d committed, %d rolled back, %d refused, %d unknown; %d runs: %d done, %d released, %d failed, %d lost",
		n[Committed], n[RolledBack], n[Refused], n[Unknown], n[Begun], n[Done], n[Released], n[Failed], n[Lost])
}

// tables reads what is in the database.
func (w *world) tables(database *opened.Database) Tables {
	w.Helper()
	tables := Tables{Jobs: map[string]int64{}, Failed: map[string][]Left{}, Effects: map[string]int{}}
	for after := int64(0); ; {
		jobs, err := operator.New(database.Queue).Jobs(w.Context(), operator.JobFilter{After: after, Limit: 1000})
		w.must(err)
		if len(jobs) == 0 {
			break
		}
		for _, j := range jobs {
			after = j.ID
			tables.Jobs[token(j.Payload)] = j.ID
			if j.Reserved {
				tables.Reserved++
			}
		}
	}
	for before := int64(0); ; {
		jobs, err := operator.New(database.Queue).FailedJobs(w.Context(), operator.FailedFilter{Before: before, Limit: 1000})
		w.must(err)
		if len(jobs) == 0 {
			break
		}
		for _, j := range jobs {
			before = j.ID
			tables.Failed[token(j.Payload)] = append(tables.Failed[token(j.Payload)], Left{j.JobID, j.Attempts, j.Error})
		}
	}
	rows, err := database.QueryContext(w.Context(), "SELECT token FROM effects")
	w.must(err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var token string
		w.must(rows.Scan(&token))
		tables.Effects[token]++
	}
	w.must(rows.Err())
	return tables
}

func token(payload []byte) string {
	var p struct{ Data struct{ Token string } }
	_ = json.Unmarshal(payload, &p) // a payload of somebody else has no token of ours
	return p.Data.Token
}

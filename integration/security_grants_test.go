package integration

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/integration/servers"
)

// TestGrants: with the rights of docs/security.md, whose SQL it runs, each login can do what is its own, and nothing else.
func TestGrants(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) { testGrants(t, binary, s) })
}

// commands that need rights, in an order in which those that may succeed do.
var commandsByRight = map[string][][]string{
	"push":    {{"push", "a", `{"n":1}`}, {"later", "1h", "a"}, {"push", "a", "--queue", "b,c", "--count", "3"}, {"push", "a", "--unique", "k"}, {"push", "a", "--unique", "k"}},
	"look":    {{"queues"}, {"jobs", "list"}, {"jobs", "show", "2"}, {"jobs", "list", "--state", "done"}, {"failed"}, {"monitor", "nothing", "--max", "5"}, {"workers"}, {"stats"}},
	"work":    {{"work", "--max-jobs", "2", "--queue", "b,default", "--exec", "exit 65"}, {"listen", "--once", "--queue", "c", "--exec", "exit 1"}},
	"change":  {{"jobs", "edit", "2", "--priority", "1"}, {"jobs", "cancel", "2"}, {"clear", "--yes"}},
	"operate": {{"forget", "1"}, {"retry", "--all"}, {"pause"}, {"resume"}, {"restart"}, {"keep", "a", "1h"}, {"flush", "--yes"}},
	"send":    {{"subscribe", "s", "http://127.0.0.1:1/", "mail"}, {"unsubscribe", "s"}},
	"make":    {{"migrate", "down", "--yes"}},
}

func testGrants(t *testing.T, binary string, s *servers.Server) {
	blocks := grantsOf(t, s.Engine)
	mark := "q" + strings.ToLower(rand.Text()[:6]) + "_"
	dsn := ""
	address := func(login string) string {
		u := mustURL(t, dsn)
		u.User = url.UserPassword(mark+login, password)
		return u.String()
	}
	logins := []string{"migrator", "producer", "worker", "operator"}
	admin := s.Open(t, s.NewDatabase(t))
	t.Cleanup(func() { // after the database, in which they own tables, has been dropped
		for _, login := range logins {
			drop := map[bool]string{true: "DROP ROLE ", false: "DROP USER "}[s.Engine == "postgres"]
			if _, err := admin.ExecContext(context.WithoutCancel(t.Context()), drop+mark+login); err != nil {
				t.Error(err)
			}
		}
	})
	dsn = s.NewDatabase(t)
	root := s.Open(t, dsn)
	replace := []string{"shop", mustURL(t, dsn).Path[1:], "change-me", password}
	for _, login := range logins {
		replace = append(replace, "queue_"+login, mark+login)
	}
	names := strings.NewReplacer(replace...)
	run := func(block int) {
		t.Helper()
		for statement := range strings.SplitSeq(names.Replace(blocks[block]), ";") {
			if statement = strings.TrimSpace(statement); statement == "" {
				continue
			}
			db := root
			if block > 0 && s.Engine == "postgres" {
				db = s.Open(t, address("migrator"))
			}
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	run(0)
	as := func(login string) *command { return &command{t: t, binary: binary, server: s, dsn: address(login)} }
	as("migrator").ok("migrate", "up")
	as("producer").refused("push", "a")
	run(1)

	can := map[string][]string{"producer": {"push"}, "worker": {"push", "look", "work"}, "operator": {"push", "look", "change", "operate"}}
	for _, login := range []string{"producer", "worker", "operator"} {
		for _, right := range []string{"push", "look", "work", "operate", "change", "send", "make"} {
			if login == "worker" && right == "change" { // it may do to jobs what it likes
				continue
			}
			for _, args := range commandsByRight[right] {
				if slices.Contains(can[login], right) {
					as(login).ok(args...)
				} else {
					as(login).refused(args...)
				}
			}
		}
	}
	run(2)
	for _, args := range commandsByRight["send"] {
		as("operator").ok(args...)
	}
	as("migrator").ok("migrate", "down", "--yes")
}

const password = "s3cr3t-of-the-login"

func mustURL(t *testing.T, dsn string) *url.URL {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("the address of the test's database is not one")
	}
	return u
}

// refused runs a command that the database must refuse, for want of a right.
func (c *command) refused(args ...string) {
	c.t.Helper()
	stdout, stderr, code := c.run(args...)
	denied := strings.Contains(stderr, "denied") || strings.Contains(stderr, "must be owner")
	if code != 1 || !denied || strings.Contains(stderr, "goroutine ") || strings.Contains(stdout+stderr, password) {
		c.t.Errorf("%q must be refused: exit code %d: %s%s", args, code, stdout, stderr)
	}
}

// grantsOf returns the SQL of the part about an engine.
func grantsOf(t *testing.T, engine string) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	title := map[bool]string{true: "### PostgreSQL\n", false: "### MySQL and MariaDB\n"}[engine == "postgres"]
	_, part, _ := strings.Cut(string(text), title)
	part, _, _ = strings.Cut(part, "\n##")
	var blocks []string
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(part, -1) {
		blocks = append(blocks, block[1])
	}
	if len(blocks) != 3 {
		t.Fatalf("the part about %s has %d blocks of SQL, want 3", engine, len(blocks))
	}
	return blocks
}

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

// TestGrants: with the rights of docs/security.md, whose SQL it runs, each login can do what is its own, and nothing else. On PostgreSQL
// also with rights on one schema alone.
func TestGrants(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		title := map[bool]string{true: "PostgreSQL", false: "MySQL and MariaDB"}[s.Engine == "postgres"]
		blocks := grantsOf(t, title, 3)
		testGrants(t, binary, s, "", blocks)
		if s.Engine != "postgres" {
			return
		}
		t.Run("in a schema", func(t *testing.T) {
			const schema = "queue"
			of := grantsOf(t, "PostgreSQL, in a schema of its own", 2)
			there := strings.ReplaceAll(blocks[0], "SCHEMA public", "SCHEMA "+schema)
			blocks[0] = of[0] + there + of[1] + "REVOKE ALL ON SCHEMA public FROM PUBLIC;"
			testGrants(t, binary, s, schema, blocks)
		})
	})
}

// commands that need rights, in an order in which those that may succeed do.
var commandsByRight = map[string][][]string{
	"push": {
		{"push", "a", `{"n":1}`},
		{"later", "1h", "a"},
		{"push", "a", "--queue", "b,c", "--count", "3"},
		{"push", "a", "--unique", "k"},
		{"push", "a", "--unique", "k"},
	},
	"look": {
		{"queues"},
		{"jobs", "list"},
		{"jobs", "show", "2"},
		{"jobs", "list", "--state", "done"},
		{"failed"},
		{"monitor", "nothing", "--max", "5"},
		{"workers"},
		{"stats"},
	},
	"work": {
		{"work", "--max-jobs", "2", "--queue", "b,default", "--exec", "exit 65"}, {"listen", "--once", "--queue", "c", "--exec", "exit 1"},
	},
	"change":  {{"jobs", "edit", "2", "--priority", "1"}, {"jobs", "cancel", "2"}, {"clear", "--yes"}},
	"operate": {{"forget", "1"}, {"retry", "--all"}, {"pause"}, {"resume"}, {"restart"}, {"keep", "a", "1h"}, {"flush", "--yes"}},
	"send":    {{"subscribe", "s", "http://127.0.0.1:1/", "mail"}, {"unsubscribe", "s"}},
	"make":    {{"migrate", "down", "--yes"}},
}

func testGrants(t *testing.T, binary string, s *servers.Server, schema string, blocks []string) {
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
				as := address("migrator")
				if schema != "" {
					as = with(t, as, "search_path", schema)
				}
				db = s.Open(t, as)
			}
			if _, err := db.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	run(0)
	as := func(login string) *command {
		return &command{t: t, binary: binary, server: s, dsn: address(login), schema: schema}
	}
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

// grantsOf returns the blocks of SQL of a part of docs/security.md.
func grantsOf(t *testing.T, title string, want int) []string {
	t.Helper()
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "### "+title+"\n")
	part, _, _ = strings.Cut(part, "\n##")
	var blocks []string
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(part, -1) {
		blocks = append(blocks, block[1])
	}
	if len(blocks) != want {
		t.Fatalf("the part about %s has %d blocks of SQL, want %d", title, len(blocks), want)
	}
	return blocks
}

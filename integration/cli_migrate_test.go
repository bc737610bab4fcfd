package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

func testMigrate(t *testing.T, c *command) {
	if _, stderr, code := c.run("push", "a"); code != 1 || !strings.Contains(stderr, "run sqlqueue migrate up") {
		t.Errorf("without tables: exit code %d: %s", code, stderr)
	}
	up := func(args ...string) {
		t.Helper()
		got := c.ok(append([]string{"migrate", "up"}, args...)...)
		if !strings.HasPrefix(got, "applied 1 create_jobs\n") || strings.Count(got, "applied ") != driver.SchemaVersion {
			t.Errorf("migrate up printed %q", got)
		}
	}
	newest := fmt.Sprintln(driver.SchemaVersion)
	up()
	c.expect("nothing to do: the tables are up to date\n", "migrate", "up")
	c.expect(newest, "migrate", "version")
	c.expect("valid\n", "migrate", "validate")
	up("--prefix", "other_")
	c.expect("1\n", "push", "a", "--prefix", "other_")
	c.ok("migrate", "down", "--all", "--yes")
	c.expect("0\n", "migrate", "version")
	c.expect(newest, "migrate", "version", "--prefix", "other_")
	if c.server.Engine != "postgres" {
		return
	}
	c.expect("0\n", "migrate", "version", "--schema", "Apart")
	up("--schema", "Apart")
	_, stderr, _ := c.run("migrate", "up", "--schema", "Apart", "--prefix", "x_")
	if !strings.Contains(stderr, `schema "Apart", prefix "x_"`) {
		t.Errorf("migrate up does not name the schema: %s", stderr)
	}
	c.expect("1\n", "push", "a", "--schema", "Apart")
	if jobs := c.jobs("--schema", "Apart"); len(jobs) != 1 {
		t.Errorf("the jobs in the schema: %+v", jobs)
	}
	c.ok("work", "--once", "--exec", "true", "--schema", "Apart")
	if jobs := c.jobs("--schema", "Apart"); len(jobs) != 0 {
		t.Errorf("the jobs in the schema after work: %+v", jobs)
	}
	c.ok("migrate", "down", "--all", "--yes", "--schema", "Apart")
	c.expect("0\n", "migrate", "version", "--schema", "Apart")
	c.expect(newest, "migrate", "version", "--prefix", "other_")
}

func testMigrateAtOnce(t *testing.T, c *command) {
	const processes = 10
	var group sync.WaitGroup
	outputs := make([]string, processes)
	for i := range outputs {
		group.Go(func() {
			output, err := c.cmd("migrate", "up").CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, output)
			}
			outputs[i] = string(output)
		})
	}
	group.Wait()
	if n := strings.Count(strings.Join(outputs, ""), "applied 1 create_jobs\n"); n != 1 {
		t.Errorf("%d processes have applied the step, want 1: %q", n, outputs)
	}
}

func testPlainInsert(t *testing.T, c *command) {
	c.ok("migrate", "up")
	db := c.server.Open(t, c.dsn)
	insert := `INSERT INTO jobs (queue, payload) VALUES ('mail', '{"job":"send_invoice","data":{"order_id":42}}')`
	if _, err := db.ExecContext(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	saw := filepath.Join(t.TempDir(), "saw")
	c.ok("work", "--queue", "mail", "--stop-when-empty", "--exec",
		`(echo $SQLQUEUE_JOB_NAME $SQLQUEUE_JOB_QUEUE $SQLQUEUE_JOB_ATTEMPTS; cat) >`+saw)
	got := strings.Join(strings.Fields(content(t, saw)), "") // spaces in the data are the database's affair
	if want := `send_invoicemail1{"order_id":42}`; got != want {
		t.Errorf("the command saw %s, want %s", got, want)
	}
	if jobs := c.jobs(); len(jobs) != 0 {
		t.Errorf("left are %+v", jobs)
	}
}

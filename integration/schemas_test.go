package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schema returns a schema of docs/schemas.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	compiled, err := jsonschema.NewCompiler().Compile(filepath.Join("../docs/schemas", name+".schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// checkSchema fails unless JSON is of a schema, and has no member that the schema does not name.
func checkSchema(t *testing.T, name, text string) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	s := schema(t, name)
	if err := s.Validate(value); err != nil {
		t.Errorf("%s: %v\n%s", name, err, text)
	}
	rows, isArray := value.([]any)
	known := s.Properties
	if isArray {
		if len(rows) == 0 {
			t.Errorf("%s: no rows", name)
		}
		known = s.Items2020.Properties
	} else {
		rows = []any{value}
	}
	for _, row := range rows {
		for member := range row.(map[string]any) {
			if known[member] == nil {
				t.Errorf("%s has no member %q", name, member)
			}
		}
	}
}

// TestE3_Schemas: what is read and printed is as docs/schemas says.
func TestE3_Schemas(t *testing.T) {
	t.Parallel()
	c := onSQLite(t, buildBinary(t))
	checkSchema(t, "push", c.ok("push", "send_invoice", `{"order_id":42}`, "--unique", "k", "--json"))
	checkSchema(t, "push", c.ok("push", "send_invoice", "--unique", "k", "--json"))
	checkSchema(t, "push", c.ok("push", "send_invoice", "--count", "2", "--json"))
	c.ok("push", "fails", "[1]", "--tries", "1", "--timeout", "30", "--backoff", "1,5", "--then", `{"job":"next","data":null,"delay":5}`)
	checkSchema(t, "jobs", c.ok("jobs", "list", "--json"))
	checkSchema(t, "queues", c.ok("queues", "--json"))
	checkSchema(t, "monitor", c.ok("monitor", "default", "--min-workers", "0", "--max", "1000", "--json"))
	for _, job := range c.jobs() {
		checkSchema(t, "payload", string(job.Payload))
	}

	line := filepath.Join(t.TempDir(), "line")
	c.ok("work", "--once", "--reuse", "--exec", `read -r line; echo "$line" >`+line+`; exit 65`)
	checkSchema(t, "job", content(t, line))
	checkSchema(t, "failed", c.ok("failed", "--json"))

	var posted string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posted = string(body)
	}))
	defer server.Close()
	checkSchema(t, "subscribe", c.ok("subscribe", "shop", server.URL, "default", "--json"))
	checkSchema(t, "subscriptions", c.ok("subscriptions", "--json"))
	c.ok("work", "--once")
	checkSchema(t, "job", posted)

	workers := filepath.Join(t.TempDir(), "workers")
	c.ok("push", "ask")
	c.ok("work", "--once", "--exec", c.binary+" workers --json --dsn "+c.dsn+" >"+workers)
	checkSchema(t, "workers", content(t, workers))

	c.ok("limit", "default", "--running", "5", "--rate", "100/1m")
	c.ok("pause", "--queue", "default", "--for", "1h")
	checkSchema(t, "limits", c.ok("limit", "list", "--json"))
	checkSchema(t, "queues", c.ok("queues", "--json"))
	checkSchema(t, "stats", c.ok("stats", "--json"))
	checkSchema(t, "names", c.ok("names", "--json"))
	checkSchema(t, "failed_groups", c.ok("failed", "list", "--group", "--json"))
	checkSchema(t, "operations", c.ok("operations", "--json"))
	checkSchema(t, "migrations", c.ok("migrate", "status", "--json"))
	checkSchema(t, "config", c.ok("config", "show", "--json"))
	c.ok("schedule", "set", "report", "report", "--every", "1 hour")
	checkSchema(t, "schedules", c.ok("schedule", "list", "--json"))
	id := strings.TrimSpace(c.ok("batches", "create", "import"))
	c.ok("batches", "push", id, "import_row", `{"row":1}`)
	checkSchema(t, "batches", c.ok("batches", "list", "--json"))
	for name, text := range map[string]string{
		"jobs": c.ok("jobs", "show", fmt.Sprint(c.jobs()[0].ID), "--json"), "failed": c.ok("failed", "show", "1", "--json"),
		"batches": c.ok("batches", "show", id, "--json"), "schedules": c.ok("schedule", "show", "report"),
	} {
		checkSchema(t, name, "["+text+"]")
	}
	checkSchema(t, "bench", c.ok("bench", "--jobs", "100", "--json"))
}

// TestE11_SchemasOfAllOutputs: every command with --json has a schema, which docs/schemas/README.md names.
func TestE11_SchemasOfAllOutputs(t *testing.T) {
	t.Parallel()
	help, readme := exact(t, "../cli/testdata/golden/help.txt"), exact(t, "../docs/schemas/README.md")
	var commands int
	usages := regexp.MustCompile(`(?m)^Usage:\n  sqlqueue(( [a-z-]+)+)`).FindAllStringSubmatchIndex(help, -1)
	flag := regexp.MustCompile(`--json +print JSON`)
	for i, usage := range usages {
		end := len(help)
		if i+1 < len(usages) {
			end = usages[i+1][0]
		}
		if !flag.MatchString(help[usage[0]:end]) {
			continue
		}
		commands++
		if command := help[usage[2]+1 : usage[3]]; !strings.Contains(readme, "`"+command+"`") {
			t.Errorf("docs/schemas/README.md has no schema of the output of %s --json", command)
		}
	}
	if commands < 15 {
		t.Errorf("only %d commands with --json were found", commands)
	}
	files, err := filepath.Glob("../docs/schemas/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.Contains(readme, "]("+filepath.Base(file)+")") {
			t.Errorf("docs/schemas/README.md does not link to %s", filepath.Base(file))
		}
	}
}

// TestE3_SchemaOfAnswers: the answers in docs/languages.md are as the schema says, and what a worker refuses is not.
func TestE3_SchemaOfAnswers(t *testing.T) {
	t.Parallel()
	answers := regexp.MustCompile("(?m)^\\| `({\"id\".*?})` \\|").FindAllStringSubmatch(exact(t, "../docs/languages.md"), -1)
	if len(answers) != 6 {
		t.Fatalf("the document has %d answers", len(answers))
	}
	for _, answer := range answers {
		checkSchema(t, "answer", answer[1])
	}
	for _, wrong := range []string{
		`{"outcome":"done"}`, `{"id":1}`, `{"id":1,"outcome":"retry"}`, `{"id":1,"outcome":"done","delay":1}`,
		`{"id":1,"outcome":"snooze"}`, `{"id":1,"outcome":"release","delay":-1}`, `{"id":1,"outcome":"done","error":"x"}`,
		`{"id":1,"outcome":"release","dealy":1}`, `"done"`,
	} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(wrong))
		if err != nil {
			t.Fatal(err)
		}
		if schema(t, "answer").Validate(value) == nil {
			t.Errorf("%s is an answer", wrong)
		}
	}
}

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

var hostile = []string{
	"it's \"quoted\" `here`", "a\nb\r\nc\td", "\x1b[31mred\x1b[0m \x1b]0;title\x07", "\u009b31m and \x7f", "\u202eevil\u2066",
	"'; DROP TABLE jobs; --", "%s %d %!", "$(reboot) `reboot` ${HOME}", "漢字 😀 e\u0301", "\u00a0\u2028\u200b\ufeff", `\x1b \n \"`,
	"<script>alert(1)</script>", "a\tb|c,d",
}

// Names and data of any kind are stored as they are, and shown so that a terminal does nothing with them but show them.
func TestHostileNamesAndData(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	for i, text := range hostile {
		data, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"push", text, string(data)}
		if sqlqueue.CheckQueueName(text) == nil {
			args = append(args, "--queue", text)
		}
		s.ok(args...)
		s.fail(1, strings.ReplaceAll(text, ",", ";"), "x", text, 1) // the table takes no comma in a queue's name
		var job struct {
			ID      int64 `json:"id"`
			Payload struct {
				Job  string            `json:"job"`
				Data map[string]string `json:"data"`
			} `json:"payload"`
		}
		fromJSON(t, s.ok("jobs", "show", fmt.Sprint(i+1), "--json"), &job)
		if job.Payload.Job != text || job.Payload.Data["text"] != text {
			t.Errorf("%q is stored as %+v", text, job)
		}
		if found := s.ids("--state ready"); len(found) != i+1 {
			t.Errorf("%d jobs", len(found))
		}
		var found []map[string]any
		fromJSON(t, s.ok("jobs", "list", "--json", "--name", text, "--field", "text="+text), &found)
		if len(found) != 1 {
			t.Errorf("%q is found %d times by its name and data", text, len(found))
		}
	}
	for _, line := range []string{
		"jobs list", "jobs list --json", "failed", "failed --json", "failed --group", "failed --group --json", "queues", "queues --json",
		"stats", "stats --json", "flush --dry-run", "clear --dry-run", "failed show 2", "failed show 3 --json", "jobs show 3",
		"jobs show 4 --json", "monitor x --json",
	} {
		out := s.ok(strings.Fields(line)...)
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s prints %q", line, out[i:min(len(out), i+20)])
		}
	}
	if rows := strings.Count(s.ok("jobs", "list"), "\n"); rows != len(hostile)+1 {
		t.Errorf("%d lines for %d jobs", rows, len(hostile))
	}
	if n := len(s.jobs()); n != len(hostile) {
		t.Errorf("%d jobs are left of %d", n, len(hostile))
	}
}

// Large data is stored as it is, and does not make lists long.
func TestTenMegabytesOfData(t *testing.T) {
	t.Parallel()
	s := migrated(t)
	data := `{"x":"` + strings.Repeat("ü<&>\\u0000", 1_000_000) + `"}`
	file := filepath.Join(t.TempDir(), "data.json")
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	s.ok("push", "big", "@"+file)
	if got := string(s.jobs()[0].Payload); got != `{"job":"big","data":`+data+`}` {
		t.Errorf("%d bytes came back as %d", len(data), len(got))
	}
	if got := s.ok("jobs", "list"); len(got) > 300 {
		t.Errorf("the table has %d bytes", len(got))
	}
}

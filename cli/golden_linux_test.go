package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sqlqueue/sqlqueue/cli/internal/term"
	"github.com/sqlqueue/sqlqueue/sqlqueue/driver"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares an output with that in a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: the output is\n%s\nwant\n%s\n(go test ./cli -update writes it)", file, got, want)
	}
}

// shop is a database in which something of everything has happened, days ago.
func shop(t *testing.T) *shell {
	t.Helper()
	s := migrated(t)
	const invoice = `{"order_id":42,"customer":{"id":7,"name":"漢字テスト株式会社"},` +
		`"lines":[{"sku":"A-1","count":3},{"sku":"B-22","count":1}],"note":"leave it at the door, please"}`
	s.ok("push", "send_invoice", invoice, "--queue", "mail", "--count", "3")
	s.ok("push", "resize_image", `{"path":"/srv/images/2026/07/21/original/very-long-name-of-an-image.jpeg"}`, "--queue",
		"images-of-customers-in-europe", "--priority", "-5")
	s.ok("later", "1000d", "warm_cache")
	s.reserve(2)
	s.ok("pause", "--queue", "images-of-customers-in-europe")
	s.exec(`UPDATE jobs SET created_at = created_at - 3 * 86400000000, available_at = available_at - 3 * 86400000000`)
	for i := range 7 {
		at := time.Now().Add(-time.Duration(i+2) * term.Day).UnixMicro()
		s.exec(`INSERT INTO failed_jobs (job_id, queue, priority, payload, attempts, error, stack, created_at, failed_at) `+
			`VALUES (?, ?, 0, ?, 3, ?, ?, ?, ?)`,
			100+i, []string{"mail", "sms"}[i/5], `{"job":"send_invoice","data":{"order_id":1}}`,
			fmt.Sprintf("cannot connect to 10.0.0.%d:587: connection refused\nafter 3 attempts", i),
			"goroutine 1 [running]:\n\tmain.main()", at, at)
	}
	now := time.Now()
	for i, name := range []string{"mailer", "a-worker-with-a-name-that-is-long"} {
		seen := []time.Time{now, now.Add(-5 * time.Minute)}[i]
		s.exec("INSERT INTO job_workers (id, name, host, pid, queues, concurrency, wanted_concurrency, started_at, seen_at) "+
			"VALUES (?, ?, 'app-1.example.com', 4711, 'high,default,mail', 20, ?, ?, ?)",
			fmt.Sprintf("%016d", i), name, []any{nil, 5}[i], now.Add(-20*term.Day).UnixMicro(), seen.UnixMicro())
	}
	return s
}

// happened puts counts of the last hours into a database.
func (s *shell) happened() {
	s.t.Helper()
	minute := time.Now().Truncate(time.Minute)
	for i := range 120 {
		s.exec("INSERT INTO job_counts (minute, queue, pushed, done, failed, released) "+
			"VALUES (?, 'mail', ?, ?, ?, ?), (?, 'reports', 1, 1, 0, 0)",
			minute.Add(-time.Duration(i)*time.Minute).UnixMicro(), 100+i%20*5, 90+i%20*4,
			i/100, i%3, minute.Add(-time.Duration(10*i)*time.Minute).UnixMicro())
	}
}

var (
	tables = map[string]string{
		"jobs-list":     "jobs list",
		"failed":        "failed --limit 4",
		"failed-groups": "failed --group",
		"queues":        "queues",
		"workers":       "workers",
		"monitor":       "monitor mail images-of-customers-in-europe --max 2",
	}
	anyTime = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*Z"`)
	anyNow  = regexp.MustCompile(`\d\d:\d\d:\d\d`)
)

// Tables are as wide as the terminal, and no wider.
func TestTablesOnTerminals(t *testing.T) {
	t.Parallel()
	atFixedTime(t, func(t *testing.T) {
		s := shop(t)
		for name, line := range tables {
			for _, columns := range []int{80, 200} {
				shown, _ := s.onTerminal(uint16(columns), "", strings.Fields(line)...)
				golden(t, fmt.Sprintf("%s-%d.txt", name, columns), shown)
				for row := range strings.Lines(shown) {
					if n := term.WidthOfText(strings.TrimSuffix(row, "\n")); n > columns {
						t.Errorf("%s: a line has %d characters: %s", line, n, row)
					}
				}
			}
			golden(t, name+".txt", s.run(strings.Fields(line)...).stdout)
		}
	})
}

func TestStatsOnTerminals(t *testing.T) {
	t.Parallel()
	atFixedTime(t, func(t *testing.T) {
		s := shop(t)
		s.happened()
		for _, columns := range []uint16{80, 200} {
			shown, _ := s.onTerminal(columns, "", "stats", "--since", "2h")
			golden(t, fmt.Sprintf("stats-%d.txt", columns), shown)
		}
		golden(t, "stats.txt", s.ok("stats", "--queue", "mail"))
		golden(t, "stats.json", anyTime.ReplaceAllString(s.ok("stats", "--queue", "mail", "--since", "5m", "--json"), `"TIME"`))
	})
}

func TestNamesOnTerminals(t *testing.T) {
	t.Parallel()
	atFixedTime(t, func(t *testing.T) {
		s := migrated(t)
		minute := time.Now().Truncate(time.Minute).Add(-10 * time.Minute).UnixMicro()
		for i, name := range []string{"send_invoice", "resize_image", "漢字テスト", ""} {
			var run, wait driver.Histogram
			for j := range 200 {
				run.Add(time.Duration((j+1)*(i+1)*(i+1)) * 7 * time.Millisecond)
				wait.Add(time.Duration(j*(i+1)) * 31 * time.Microsecond)
			}
			s.exec("INSERT INTO job_names (minute, queue, name, done, failed, released, run, wait) VALUES (?, ?, ?, ?, ?, 10, ?, ?)",
				minute, []string{"mail", "images", "mail", ""}[i], name, 190-i, i, run.String(), wait.String())
		}
		for _, columns := range []uint16{80, 200} {
			shown, _ := s.onTerminal(columns, "", "names")
			golden(t, fmt.Sprintf("names-%d.txt", columns), shown)
		}
		golden(t, "names.txt", s.ok("names"))
		golden(t, "names.json", anyTime.ReplaceAllString(
			s.ok("names", "--queue", "images", "--last", "5m", "--json")+s.ok("names", "--queue", "images", "--last", "15m", "--json"),
			`"TIME"`))
	})
}

// Colours are few, and only on terminals that may have them.
func TestColours(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	atFixedTime(t, func(t *testing.T) {
		s := shop(t)
		for _, name := range []string{"queues", "workers", "monitor"} {
			shown, _ := s.onTerminal(200, "", strings.Fields(tables[name])...)
			golden(t, name+"-colours.txt", strings.ReplaceAll(shown, "\x1b", "^["))
		}
	})
	s := shop(t)
	for variable, value := range map[string]string{"NO_COLOR": "1", "TERM": "dumb"} {
		t.Run(variable, func(t *testing.T) {
			t.Setenv(variable, value)
			if shown, _ := s.onTerminal(200, "", "queues"); strings.Contains(shown, "\x1b") {
				t.Errorf("it has colours: %q", shown)
			}
		})
	}
	if shown := s.ok("queues"); strings.Contains(shown, "\x1b") {
		t.Errorf("colours are no terminal's: %q", shown)
	}
}

func TestColumnsVariable(t *testing.T) {
	atFixedTime(t, func(t *testing.T) {
		s := shop(t)
		want, _ := s.onTerminal(90, "", "jobs", "list")
		t.Setenv("COLUMNS", "90")
		if shown, _ := s.onTerminal(200, "", "jobs", "list"); shown != want {
			t.Errorf("with COLUMNS=90 it is\n%swant\n%s", shown, want)
		}
		t.Setenv("COLUMNS", "40")
		if shown, want := s.ok("jobs", "list"), readGolden(t, "jobs-list.txt"); shown != want {
			t.Errorf("COLUMNS is for terminals, and without one it is\n%s", shown)
		}
	})
}

func readGolden(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestJSONOutputs(t *testing.T) {
	t.Parallel()
	atFixedTime(t, func(t *testing.T) {
		s := shop(t)
		for name, line := range tables {
			golden(t, name+".json", anyTime.ReplaceAllString(s.run(append(strings.Fields(line), "--json")...).stdout, `"TIME"`))
		}
	})
}

// needsOldPflag skips a test of help that has the form of the pflag in go.mod. Since 1.1.0 it writes --json[=true|false].
func needsOldPflag(t *testing.T) {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.Bool("json", false, "")
	if usage := flags.FlagUsages(); strings.Contains(usage, "[") {
		t.Skipf("the golden file is made with a pflag that does not write %s", strings.TrimSpace(usage))
	}
}

func TestHelpTexts(t *testing.T) {
	t.Parallel()
	needsOldPflag(t)
	var all strings.Builder
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		got := runWith(t.Context(), Options{}, "", append(strings.Fields(path)[1:], "--help")...)
		fmt.Fprintf(&all, "=== %s --help\n%s\n", path, got.stdout)
		for _, child := range cmd.Commands() {
			if child.IsAvailableCommand() {
				visit(child)
			}
		}
	}
	visit(Command(Options{}))
	golden(t, "help.txt", all.String())
}

func TestHelpOnTerminals(t *testing.T) {
	t.Parallel()
	needsOldPflag(t)
	s := newShell(t)
	for _, columns := range []uint16{80, 200} {
		shown, _ := s.onTerminal(columns, "", "jobs", "cancel", "--help")
		golden(t, fmt.Sprintf("help-jobs-cancel-%d.txt", columns), shown)
	}
}

// watch on a terminal draws in place, and Ctrl-C is its end.
func TestStatsWatch(t *testing.T) {
	t.Parallel()
	s := shop(t)
	p := s.startOnTerminal("stats", "--watch", "0.05", "--queue", "mail")
	waitFor(t, func() error {
		if n := strings.Count(p.stderr.String(), "\x1b[H"); n < 3 {
			return fmt.Errorf("drawn %d times:\n%q", n, p.stderr)
		}
		return nil
	})
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	frames := strings.Split(anyNow.ReplaceAllString(p.stderr.String(), "TIME"), "\x1b[H")
	if frames[0] != "\x1b[2J" || frames[1] != frames[2] || !strings.HasPrefix(frames[1], "TIME, every 50ms\x1b[K\r\n\x1b[K\r\nQUEUE") ||
		!strings.HasSuffix(frames[1], "\x1b[J") {
		t.Errorf("shown is %q", frames)
	}
}

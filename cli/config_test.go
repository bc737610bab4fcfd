package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/worker"
)

// configured writes a configuration file into a new working directory.
func configured(t *testing.T, name, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shownSetting is a row of config show --json.
type shownSetting struct{ Setting, Value, From string }

// shown runs config show, and returns the values and where they come from.
func shown(t *testing.T, options Options, args ...string) map[string]shownSetting {
	t.Helper()
	got := runWith(t.Context(), options, "", append([]string{"config", "show", "--json"}, args...)...)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("%q: %+v", args, got)
	}
	var list []shownSetting
	fromJSON(t, got.stdout, &list)
	settings := map[string]shownSetting{}
	for _, s := range list {
		settings[s.Setting] = s
	}
	return settings
}

func checkSettings(t *testing.T, got map[string]shownSetting, want ...shownSetting) {
	t.Helper()
	for _, w := range want {
		if got[w.Setting] != w {
			t.Errorf("%s is %+v, want %+v", w.Setting, got[w.Setting], w)
		}
	}
}

func TestF4_SettingsComeFromFlagsThenEnvironmentThenFile(t *testing.T) {
	configured(t, settings.DefaultFile, `# of the shop
dsn: sqlite:from-file.db
prefix: file_
schema: file
queue: slow
timeout: 90
work:
  queue: [high, default]
  concurrency: 7
  backoff: [1, 5s, 1m]
  fair: true
  expire: off
  name: "7"
listen: {concurrency: 3, timeout: 1d}
monitor:
  max: 5
`)
	t.Setenv("SQLQUEUE_PREFIX", "env_")
	t.Setenv("SQLQUEUE_CONCURRENCY", "9")
	t.Setenv("SQLQUEUE_MAX_JOBS", "")
	checkSettings(t, shown(t, Options{}, "--dsn", "sqlite:typed.db"),
		shownSetting{"config", "sqlqueue.yaml", "default"},
		shownSetting{"dsn", "sqlite:typed.db", "flag"},
		shownSetting{"prefix", "env_", "environment SQLQUEUE_PREFIX"},
		shownSetting{"schema", "file", "file sqlqueue.yaml:4"},
		shownSetting{"push.queue", "slow", "file sqlqueue.yaml:5"},
		shownSetting{"later.queue", "slow", "file sqlqueue.yaml:5"},
		shownSetting{"work.queue", "high,default", "file sqlqueue.yaml:8"},
		shownSetting{"listen.queue", "slow", "file sqlqueue.yaml:5"},
		shownSetting{"work.concurrency", "9", "environment SQLQUEUE_CONCURRENCY"},
		shownSetting{"listen.concurrency", "9", "environment SQLQUEUE_CONCURRENCY"},
		shownSetting{"work.timeout", "1m30s", "file sqlqueue.yaml:6"},
		shownSetting{"listen.timeout", "24h", "file sqlqueue.yaml:14"},
		shownSetting{"work.backoff", "1s,5s,1m", "file sqlqueue.yaml:10"},
		shownSetting{"work.fair", "true", "file sqlqueue.yaml:11"},
		shownSetting{"work.expire", "off", "file sqlqueue.yaml:12"},
		shownSetting{"work.name", "7", "file sqlqueue.yaml:13"},
		shownSetting{"work.max-jobs", "0", "default"},
		shownSetting{"work.delay", "", "default"},
		shownSetting{"monitor.max", "5", "file sqlqueue.yaml:16"},
		shownSetting{"monitor.min-workers", "", "default"},
	)
}

// What is set is not only shown.
func TestF4_CommandsHeedTheirSettings(t *testing.T) {
	s := migrated(t)
	configured(t, "elsewhere.yaml", "queue: slow\nmonitor: {max: 1}\nwork: {exec: exit 65, stop-when-empty: true}\n")
	t.Setenv("SQLQUEUE_CONFIG", "elsewhere.yaml")
	s.ok("push", "a")
	s.ok("push", "a")
	if jobs := s.jobs("--queue", "slow"); len(jobs) != 2 {
		t.Errorf("the jobs are %+v", s.jobs())
	}
	if got := s.run("monitor", "slow"); got.code != 2 {
		t.Errorf("monitor: %+v", got)
	}
	if got := s.run("monitor", "slow", "--max", "2", "--min-workers", "0"); got.code != 0 {
		t.Errorf("monitor with a flag: %+v", got)
	}
	t.Setenv("SQLQUEUE_QUEUE", "default")
	if got := s.run("work"); got.code != 0 || len(s.failed()) != 0 {
		t.Errorf("work of the queue of the environment: %+v", got)
	}
	t.Setenv("SQLQUEUE_QUEUE", "")
	if got := s.run("work"); got.code != 0 || len(s.failed()) != 2 {
		t.Errorf("work: %+v", got)
	}
	// What selects, pushes and answers is not taken from anywhere else.
	t.Setenv("SQLQUEUE_NAME", "nobody")
	t.Setenv("SQLQUEUE_TRIES", "7")
	t.Setenv("SQLQUEUE_JSON", "true")
	s.ok("push", "b")
	if got := s.ok("jobs", "list"); !strings.Contains(got, "  b  ") || strings.Contains(got, "tries") || strings.HasPrefix(got, "[") {
		t.Errorf("the jobs are\n%s", got)
	}
}

// Of two flags of which a command takes one, that which comes first counts.
func TestF4_RivalSettings(t *testing.T) {
	s := migrated(t)
	configured(t, settings.DefaultFile, "work: {backoff: 100, exec: 'exit 1', once: true}\n")
	s.ok("push", "a")
	if got := s.run("work", "--delay", "5000"); got.code != 0 {
		t.Errorf("the result is %+v", got)
	}
	if job := s.jobs()[0]; job.AvailableAt.Sub(job.CreatedAt).Seconds() < 4000 {
		t.Errorf("the job is available at %v", job.AvailableAt)
	}
	t.Setenv("SQLQUEUE_DELAY", "7")
	checkSettings(t, shown(t, Options{}),
		shownSetting{"work.delay", "7s", "environment SQLQUEUE_DELAY"}, shownSetting{"work.backoff", "", "default"})
}

// The default queue does not replace the queues of an application's workers; the flag's own section does.
func TestF4_QueuesOfAnApplication(t *testing.T) {
	config := sqlqueue.Config{Queue: "mine", Prefix: "app_", Schema: "app"}
	options := Options{Worker: worker.Config{Queues: []string{"mine"}}, Config: config, DSN: "sqlite:app.db"}
	configured(t, settings.DefaultFile, "queue: slow\n")
	checkSettings(t, shown(t, options), shownSetting{"work.queue", "mine", "default"},
		shownSetting{"push.queue", "slow", "file sqlqueue.yaml:1"},
		shownSetting{"prefix", "app_", "default"}, shownSetting{"schema", "app", "default"})
	t.Setenv("SQLQUEUE_QUEUE", "env")
	checkSettings(t, shown(t, options), shownSetting{"work.queue", "mine", "default"},
		shownSetting{"push.queue", "env", "environment SQLQUEUE_QUEUE"})
	configured(t, settings.DefaultFile, "work: {queue: 'a,b'}\n")
	checkSettings(t, shown(t, options), shownSetting{"work.queue", "a,b", "file sqlqueue.yaml:1"})
}

func TestF4_MistakesInTheFile(t *testing.T) {
	for text, says := range map[string]string{
		"worker: 3":                   `c.yaml:1: there is no setting "worker"`,
		"dsn: sqlite:x.db\nyes: true": `c.yaml:2: there is no setting "yes"`,
		"json: true":                  `c.yaml:1: there is no setting "json"`,
		"processes: 4":                `c.yaml:1: there is no setting "processes"`,
		"work:\n  max: 3":             `c.yaml:2: there is no setting "max" of work`,
		"clear:\n  queue: x": `c.yaml:1: "clear" is not a command with its own settings: ` +
			`use later, listen, monitor, push, work`,
		"timeout: soon":                           `c.yaml:1: timeout: "soon" is not a duration`,
		"concurrency: [1, 2]":                     "c.yaml:1: concurrency: it is a list, and must be a number",
		"timeout: true":                           "c.yaml:1: timeout: it is true or false, and must be a duration",
		"work: {fair: 3}":                         "c.yaml:1: fair: it is a number, and must be true or false",
		"timeout:":                                "c.yaml:1: timeout: it has no value",
		"queue: [a, b]":                           "c.yaml:1: queue: at the top it is one queue, not a list",
		"queue: 'a,b'":                            "c.yaml:1: queue: the queue",
		"work: {queue: [[a]]}":                    `c.yaml:1: "queue" is neither a value nor a list of values`,
		"timeout: 1\ntimeout: 2":                  `c.yaml:2: "timeout" is there twice`,
		"timeout: 1\n---\ntimeout: 2":             "c.yaml:2: a second document starts here",
		"- timeout":                               "c.yaml:1: the file is a list: it must be a map",
		"work:\n  timeout: 1\n fair: true":        "c.yaml:",
		"postgres://app:" + secret + "@db/x: 1":   "c.yaml:1: there is no setting (not shown)",
		"postgres://app:" + secret + "@db/x":      "c.yaml:1: the file is a string: it must be a map",
		"dsn: [postgres://app:" + secret + "@db]": "c.yaml:1: dsn: it is a list",
		"dsn: {a: " + secret + "}":                `c.yaml:1: "dsn" is not a command`,
	} {
		configured(t, "c.yaml", text)
		for _, args := range [][]string{{"queues", "--config", "c.yaml"}, {"config", "show", "--config", "c.yaml"}} {
			got := runWith(t.Context(), Options{}, "", args...)
			checkFailure(t, got, 2, []string{says}, append(args, text))
			checkSecret(t, text, got)
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "{}"} {
		configured(t, "c.yaml", text)
		checkSettings(t, shown(t, Options{}, "--config", "c.yaml"), shownSetting{"config", "c.yaml", "flag"})
	}
	got := runWith(t.Context(), Options{}, "", "queues", "--config", "/no/such/file")
	checkFailure(t, got, 1, []string{"the configuration: open /no/such/file"}, nil)
	t.Setenv("SQLQUEUE_TIMEOUT", "soon")
	got = runWith(t.Context(), Options{}, "", "work")
	checkFailure(t, got, 2, []string{`SQLQUEUE_TIMEOUT: "soon" is not a duration`}, nil)
}

// What needs no settings works beside a broken file.
func TestPlainCommandsNeedNoSettings(t *testing.T) {
	configured(t, settings.DefaultFile, "][")
	for _, args := range [][]string{{"version"}, {"completion", "bash"}, {"--help"}, {"work", "--help"}} {
		if got := runWith(t.Context(), Options{}, "", args...); got.code != 0 {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// No output has the password of the address in it, wherever it comes from.
func TestConfigShowsNoSecrets(t *testing.T) {
	const password = "p%40ss" + secret
	for dsn, want := range map[string]string{
		"postgres://app:" + password + "@db:5432/shop?sslmode=verify-full&sslpassword=" + secret: "postgres://app:xxxxx@db:5432/shop" +
			"?sslmode=verify-full&sslpassword=xxxxx",
		"mysql://app:" + password + "@db/shop?token=" + secret: "mysql://app:xxxxx@db/shop?token=xxxxx",
		"postgres://db/shop?password=" + secret + "&user=app":  "postgres://db/shop?password=xxxxx&user=app",
		"postgres://app:pa/ss" + secret + "@db/shop":           "(malformed, and not shown, because a password may be in it)",
		secret: "(malformed, and not shown, because a password may be in it)",
		"postgres://app@db/shop?x=1;password=" + secret: "postgres://app@db/shop",
	} {
		for _, way := range []string{"flag", "environment", "file"} {
			t.Run(way+" "+dsn, func(t *testing.T) {
				t.Chdir(t.TempDir())
				var args []string
				switch way {
				case "flag":
					args = []string{"--dsn", dsn}
				case "environment":
					t.Setenv("SQLQUEUE_DSN", dsn)
				case "file":
					configured(t, settings.DefaultFile, "dsn: '"+dsn+"'\n")
				}
				for _, more := range [][]string{
					{"config", "show"},
					{"config", "show", "--json"},
					{"config", "show", "--help"},
					{"config", "shw"},
					{"config", "show", "--jsn"},
				} {
					got := runWith(t.Context(), Options{}, "", slices.Concat(more, args)...)
					checkSecret(t, way, got)
				}
				got := runWith(t.Context(), Options{}, "", append([]string{"config", "show"}, args...)...).stdout
				if !strings.Contains(got, "  "+want+"  ") {
					t.Errorf("it is not shown as %s:\n%s", want, got)
				}
			})
		}
	}
}

// The password of the address is not shown in other settings either.
func TestConfigShowsNoSecretsElsewhere(t *testing.T) {
	configured(t, settings.DefaultFile, "dsn: postgres://app:"+secret+"@db/shop\nwork: {exec: 'PGPASSWORD="+secret+" psql'}\n")
	checkSettings(t, shown(t, Options{}), shownSetting{"work.exec", "PGPASSWORD=xxxxx psql", "file sqlqueue.yaml:2"})
}

func TestConfigFileIsFoundInTheWorkingDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	checkSettings(t, shown(t, Options{}), shownSetting{"config", "", "default"}, shownSetting{"dsn", "sqlite:sqlqueue.db", "default"})
	if err := os.WriteFile(filepath.Join(dir, settings.DefaultFile), []byte("dsn: sqlite:found.db\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkSettings(t, shown(t, Options{}), shownSetting{"dsn", "sqlite:found.db", "file sqlqueue.yaml:1"})
}

// DATABASE_URL, which many programs share, has the address where nothing of sqlqueue's own does.
func TestDatabaseURL(t *testing.T) {
	configured(t, "other.yaml", "dsn: sqlite:from-file.db\n")
	t.Setenv("DATABASE_URL", "postgres://app:s3cret@db.example.com/shop")
	checkSettings(t, shown(t, Options{}), shownSetting{"dsn", "postgres://app:xxxxx@db.example.com/shop", "environment DATABASE_URL"})
	checkSettings(t, shown(t, Options{}, "--dsn", "sqlite:a.db"), shownSetting{"dsn", "sqlite:a.db", "flag"})
	checkSettings(t, shown(t, Options{}, "--config", "other.yaml"), shownSetting{"dsn", "sqlite:from-file.db", "file other.yaml:1"})
	checkSettings(t, shown(t, Options{DSN: "sqlite:own.db"}), shownSetting{"dsn", "sqlite:own.db", "default"})
	t.Setenv("SQLQUEUE_DSN", "sqlite:b.db")
	checkSettings(t, shown(t, Options{}), shownSetting{"dsn", "sqlite:b.db", "environment SQLQUEUE_DSN"})
	t.Setenv("SQLQUEUE_DSN", "")
	t.Setenv("DATABASE_URL", "oracle://app:s3cret@db.example.com/shop")
	got := runWith(t.Context(), Options{}, "", "queues")
	checkFailure(t, got, 2, []string{"DATABASE_URL: ", `unknown scheme "oracle"`}, []string{"queues"})
	if strings.Contains(got.stderr, "s3cret") {
		t.Errorf("the password is shown: %s", got.stderr)
	}
}

// Where nobody names a database, the file in the working directory is used, and standard error says so.
func TestDefaultDatabaseIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	notice := " the default database, SQLite file " + filepath.Join(folder, "sqlqueue.db") +
		": name another with --dsn, SQLQUEUE_DSN or DATABASE_URL\n"
	for _, step := range []struct{ args, says string }{
		{"migrate up", "making" + notice + "database: sqlite file sqlqueue.db\n"},
		{"migrate up", "using" + notice + "database: sqlite file sqlqueue.db\n"},
		{"push a", "using" + notice},
		{"push a --dsn sqlite:sqlqueue.db", ""},
	} {
		if got := runWith(t.Context(), Options{}, "", strings.Fields(step.args)...); got.code != 0 || got.stderr != step.says {
			t.Errorf("%s: %+v", step.args, got)
		}
	}
	if got := runWith(t.Context(), Options{DSN: "sqlite:sqlqueue.db"}, "", "queues"); got.code != 0 || got.stderr != "" {
		t.Errorf("an application's own: %+v", got)
	}
}

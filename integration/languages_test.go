package integration

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

const languages = "../examples/languages"

// need skips a test, but not in CI, where a program is not installed.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if program == "ruby" && servers.Install(t.Context(), []string{program}) == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
}

// onSQLite returns the binary on a database of SQLite, with tables.
func onSQLite(t *testing.T, binary string) *command {
	t.Helper()
	c := &command{t: t, binary: binary, dsn: "sqlite:" + filepath.Join(t.TempDir(), "app.db")}
	c.ok("migrate", "up")
	return c
}

// TestE3_LanguagesDocument: what docs/languages.md shows are the files that are tested here.
func TestE3_LanguagesDocument(t *testing.T) {
	t.Parallel()
	document := exact(t, "../docs/languages.md")
	files, err := os.ReadDir(languages)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		link := "[`" + file.Name() + "`](../examples/languages/" + file.Name() + ")\n\n```"
		_, after, found := strings.Cut(document, link)
		_, shown, _ := strings.Cut(after, "\n")
		if !found || !strings.HasPrefix(shown, exact(t, filepath.Join(languages, file.Name()))+"```\n") {
			t.Errorf("docs/languages.md does not show %s as it is", file.Name())
		}
	}
	if shown := strings.Count(document, "](../examples/languages/"); shown != len(files) {
		t.Errorf("docs/languages.md links to %d files, and there are %d", shown, len(files))
	}
}

// exact returns what is in a file.
func exact(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// runSQL runs a file with a program of the database.
func runSQL(t *testing.T, file string, environment []string, args ...string) error {
	t.Helper()
	need(t, args[0])
	script, err := os.Open(filepath.Join(languages, file))
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdin = script
	output, err := cmd.CombinedOutput()
	if err != nil {
		return errors.New(string(output))
	}
	return nil
}

// checkPushes pushes twice: the second time the transaction fails, because the order is there, and no job must be.
func checkPushes(t *testing.T, c *command, push func() error) {
	t.Helper()
	if err := push(); err != nil {
		t.Fatal(err)
	}
	if err := push(); err == nil {
		t.Error("the same order was inserted twice")
	}
	jobs := c.jobs()
	slices.SortFunc(jobs, func(a, b sqlqueue.Job) int { return int(a.ID - b.ID) })
	if len(jobs) != 4 {
		t.Fatalf("the jobs are %+v", jobs)
	}
	for i, want := range []string{
		`{"job":"send_invoice","data":{"order_id":42}}`, `{"job":"ask_for_review","data":{"order_id":42}}`,
		`{"job":"charge","data":{"order_id":42},"tries":3,"timeout":30,"backoff":[1,5,10]}`, `{"job":"count_stock","data":7}`,
	} {
		if got := canonical(t, jobs[i].Payload); got != want || jobs[i].Queue != "orders" {
			t.Errorf("the job is %+v, with the payload %s, want %s", jobs[i], got, want)
		}
	}
	if wait := jobs[1].AvailableAt.Sub(jobs[1].CreatedAt); wait < 9*time.Minute || wait > 11*time.Minute {
		t.Errorf("the delayed job waits for %v", wait)
	}
	if jobs[2].Priority != -5 || jobs[3].UniqueKey != "stock-7" {
		t.Errorf("the jobs are %+v", jobs)
	}

	order := filepath.Join(t.TempDir(), "order")
	c.ok("work", "--queue", "orders", "--stop-when-empty", "--concurrency", "1", "--exec", `echo $SQLQUEUE_JOB_NAME >>`+order)
	if got := content(t, order); got != "charge\nsend_invoice\ncount_stock" {
		t.Errorf("the jobs ran in the order %q", got)
	}
}

// canonical writes a payload in the same way, whatever its spaces and the order of its fields.
func canonical(t *testing.T, payload []byte) string {
	t.Helper()
	parsed, err := sqlqueue.ParsePayload(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const createOrders = `CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER NOT NULL)`

// TestA6_PushBySQL: producers are the databases' own programs.
func TestA6_PushBySQL(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		c := &command{t: t, binary: binary, server: s, dsn: s.NewDatabase(t)}
		c.ok("migrate", "up")
		if _, err := s.Open(t, c.dsn).ExecContext(t.Context(), createOrders); err != nil {
			t.Fatal(err)
		}
		at, err := url.Parse(c.dsn)
		if err != nil {
			t.Fatal(err)
		}
		checkPushes(t, c, func() error {
			if at.Scheme == "postgres" {
				return runSQL(t, "push_postgres.sql", nil, "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", c.dsn)
			}
			password, _ := at.User.Password()
			client := "mysql"
			if _, err := exec.LookPath(client); err != nil {
				client = "mariadb" // its own name for it
			}
			return runSQL(t, "push_mysql.sql", []string{"MYSQL_PWD=" + password}, client, "--loose-skip-ssl-verify-server-cert",
				"--protocol=tcp", "--host="+at.Hostname(), "--port="+at.Port(), "--user="+at.User.Username(),
				strings.TrimPrefix(at.Path, "/"))
		})
	})
	t.Run("SQLite", func(t *testing.T) {
		c := onSQLite(t, binary)
		file := strings.TrimPrefix(c.dsn, "sqlite:")
		need(t, "sqlite3")
		if output, err := exec.CommandContext(t.Context(), "sqlite3", file, createOrders).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		checkPushes(t, c, func() error { return runSQL(t, "push_sqlite.sql", nil, "sqlite3", "-bail", file) })
	})
}

// runIn runs the binary in a directory, and returns what it says.
func (c *command) runIn(dir string, args ...string) string {
	c.t.Helper()
	cmd := c.cmd(args...)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("%q: %v\n%s", args, err, output)
	}
	return string(output)
}

// TestE3_ConsumersByCommand: a job that is done, and one that fails for good, in each language.
func TestE3_ConsumersByCommand(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	for name, command := range map[string][]string{
		"sh": {"sh consume.sh"}, "python3": {"python3 consume.py"},
		"php": {"php consume.php"}, "node": {"node consume.mjs"}, "ruby": {"ruby consume.rb"},
		"python3 reused": {"python3 serve.py", "--reuse"},
		"php reused":     {"php serve.php", "--reuse"}, "node reused": {"node serve.mjs", "--reuse"},
		"ruby reused": {"ruby serve.rb", "--reuse"},
	} {
		t.Run(name, func(t *testing.T) {
			need(t, strings.TrimSuffix(name, " reused"))
			c := onSQLite(t, binary)
			c.ok("push", "send_invoice", `{"order_id":42}`)
			c.ok("push", "send_invoice", `{"order":42}`)
			said := c.runIn(languages, append([]string{"work", "--stop-when-empty", "--exec"}, command...)...)
			want := "\njob 1: send_invoice of order 42, attempt 1\n"
			if name == "sh" {
				want = "\njob 1: send_invoice of default, attempt 1: {\"order_id\":42}\n"
			}
			if !strings.Contains(said, want) {
				t.Errorf("it does not say %q:\n%s", want, said)
			}
			if failed := c.failed(); len(failed) != 1 || failed[0].Error != "no order_id in the data" || failed[0].Attempts != 1 ||
				len(c.jobs()) != 0 {
				t.Errorf("failed are %+v, left are %+v", failed, c.jobs())
			}
		})
	}
}

// TestE3_ConsumersByHandlersFile: each name has the handler that the file says.
func TestE3_ConsumersByHandlersFile(t *testing.T) {
	for _, program := range []string{"python3", "php", "node"} {
		need(t, program)
	}
	t.Setenv("NOTIFY_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	c := onSQLite(t, buildBinary(t))
	for _, name := range []string{"send_invoice", "charge", "ask_for_review", "other"} {
		c.ok("push", name, `{"order_id":42}`)
	}
	said := c.runIn(languages, "work", "--stop-when-empty", "--handlers", "handlers.yaml")
	for _, want := range []string{
		"job 1: send_invoice of order 42, attempt 1", "job 2: charge of order 42, attempt 1",
		"job 3: ask_for_review of order 42, attempt 1", `job 4: other of default, attempt 1: {"order_id":42}`,
	} {
		if !strings.Contains(said, "\n"+want+"\n") {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	if left := c.jobs(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
}

// TestE9_ReceiversInLanguages: a server in each language takes what is signed with its secret, and nothing else.
func TestE9_ReceiversInLanguages(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	for name, program := range map[string]func(address string) []string{
		"python3": func(string) []string { return []string{"python3", "receive.py"} },
		"php":     func(address string) []string { return []string{"php", "-S", address, "receive.php"} },
		"node":    func(string) []string { return []string{"node", "receive.mjs"} },
	} {
		t.Run(name, func(t *testing.T) {
			need(t, name)
			c := onSQLite(t, binary)
			address := freeAddress(t)
			var told struct{ Secret string }
			if err := json.Unmarshal([]byte(c.ok("subscribe", "shop", "http://"+address+"/", "orders", "--json")), &told); err != nil {
				t.Fatal(err)
			}
			said := startReceiver(t, address, told.Secret, program(address)...)

			c.ok("push", "send_invoice", `{"order_id":42,"text":"ü\n"}`, "--queue", "orders")
			c.ok("work", "--stop-when-empty")
			if left, failed := c.jobs(), c.failed(); len(left)+len(failed) != 0 {
				t.Fatalf("left are %+v, failed are %+v", left, failed)
			}
			await(t, "the job is there", func() bool { return strings.Contains(content(t, said), "send_invoice of order 42, attempt 1") })

			c.ok("subscribe", "shop", "http://"+address+"/", "--new-secret")
			c.ok("push", "send_invoice", `{"order_id":43}`, "--queue", "orders", "--tries", "1")
			c.ok("work", "--stop-when-empty")
			if failed := c.failed(); len(failed) != 1 || !strings.Contains(failed[0].Error, "answered 401") {
				t.Errorf("with another secret, failed are %+v", failed)
			}
			for name, header := range map[string][2]string{
				"no signature": {"0", ""}, "another's timestamp": {"1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
			} {
				if status := post(t, "http://"+address+"/", header[0], header[1]); status != http.StatusUnauthorized {
					t.Errorf("%s: the answer is %d", name, status)
				}
			}
			if text := content(t, said); strings.Contains(text, "order 43") {
				t.Errorf("it took what is not signed: %s", text)
			}
		})
	}
}

// freeAddress returns a host and port where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startReceiver starts a server, waits until it listens, and returns the file with what it says. It is killed when the test ends.
func startReceiver(t *testing.T, address, secret string, args ...string) (said string) {
	t.Helper()
	output, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = languages
	cmd.Env = append(os.Environ(), "SECRET="+secret, "PORT="+port)
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = output.Close()
	})
	await(t, "a server listens at "+address, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		return err == nil && conn.Close() == nil
	})
	return output.Name()
}

// post posts a job that sqlqueue has not signed.
func post(t *testing.T, to, timestamp, signature string) (status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(`{"test": 2432232314}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	request.Header.Set("webhook-timestamp", timestamp)
	request.Header.Set("webhook-signature", signature)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

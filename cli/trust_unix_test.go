//go:build unix

package cli

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sqlqueue/sqlqueue/cli/internal/settings"
)

// runIn runs a command of the stock program in a process of its own, in a working directory and with more in its environment.
func (s *shell) runIn(dir string, env []string, args ...string) result {
	s.t.Helper()
	cmd := s.command(args...)
	var stdout, stderr strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(cmd.Env, env...), &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A file that nobody has named is used only if nobody else may have written it.
func TestAConfigurationOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	const file = settings.DefaultFile
	writeIn := func(t *testing.T, dir string) {
		must(t, os.Chmod(dir, 0o755),
			os.WriteFile(filepath.Join(dir, file), []byte("work: {exec: echo >ran, stop-when-empty: true}\n"), 0o600))
	}
	for name, test := range map[string]struct {
		change func(t *testing.T, dir string) // of a directory with a file of one's own
		want   string                         // why it is refused; empty: it is used
		root   bool                           // only root can do this
	}{
		"own":            {change: func(*testing.T, string) {}},
		"read by others": {change: func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/"+file, 0o644)) }},
		"written by the group": {
			func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/"+file, 0o620)) }, "it can be written by others", false,
		},
		"written by others": {
			func(t *testing.T, dir string) { must(t, os.Chmod(dir+"/"+file, 0o602)) }, "it can be written by others", false,
		},
		"of another": {
			func(t *testing.T, dir string) { must(t, os.Chown(dir+"/"+file, 12345, -1)) }, "it belongs to another user (12345)", true,
		},
		"folder written by a group": {
			func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o770)) }, "its folder can be written by others", false,
		},
		"folder like /tmp": {
			func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o777|os.ModeSticky)) }, "its folder can be written by others", false,
		},
		"folder of another": {
			func(t *testing.T, dir string) { must(t, os.Chown(dir, 12345, -1)) }, "its folder belongs to another user", true,
		},
		"link": {change: func(t *testing.T, dir string) {
			there := t.TempDir()
			writeIn(t, there)
			must(t, os.Remove(dir+"/"+file), os.Symlink(there+"/"+file, dir+"/"+file))
		}},
		"link to what others write": {func(t *testing.T, dir string) {
			there := t.TempDir()
			writeIn(t, there)
			must(t, os.Chmod(there+"/"+file, 0o666), os.Remove(dir+"/"+file), os.Symlink(there+"/"+file, dir+"/"+file))
		}, "it can be written by others", false},
		"link into a folder like /tmp": {func(t *testing.T, dir string) {
			there := t.TempDir()
			writeIn(t, there)
			must(t, os.Chmod(there, 0o777|os.ModeSticky), os.Remove(dir+"/"+file), os.Symlink(there+"/"+file, dir+"/"+file))
		}, "its folder can be written by others", false},
		"link of another": {func(t *testing.T, dir string) {
			there := t.TempDir()
			writeIn(t, there)
			must(t, os.Remove(dir+"/"+file), os.Symlink(there+"/"+file, dir+"/"+file), os.Lchown(dir+"/"+file, 12345, -1))
		}, "the link belongs to another user", true},
		"pipe": {func(t *testing.T, dir string) {
			must(t, os.Remove(dir+"/"+file), syscall.Mkfifo(dir+"/"+file, 0o600))
		}, "it is no ordinary file", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.root && os.Geteuid() != 0 {
				t.Skip("only root can give files to others")
			}
			s := migrated(t)
			s.ok("push", "a")
			dir := t.TempDir()
			writeIn(t, dir)
			test.change(t, dir)
			got := s.runIn(dir, nil, "work")
			_, err := os.Stat(dir + "/ran")
			if test.want == "" {
				if got.code != 0 || err != nil {
					t.Errorf("exit code %d, %v\n%s", got.code, err, got.stderr)
				}
				return
			}
			checkFailure(t, got, 2, []string{"sqlqueue.yaml is not used, because " + test.want, "--config sqlqueue.yaml"}, nil)
			if err == nil {
				t.Error("its command has run")
			}
			if name == "pipe" {
				return
			}
			if got := s.runIn(dir, nil, "work", "--config", file); got.code != 0 {
				t.Errorf("with its name: exit code %d\n%s", got.code, got.stderr)
			}
		})
	}
}

// A file of others stops nobody who names another one, and no file is needed in a folder like /tmp.
func TestAConfigurationOfOthersIsNotInTheWay(t *testing.T) {
	t.Parallel()
	s, dir := migrated(t), t.TempDir()
	must(t, os.Chmod(dir, 0o777|os.ModeSticky))
	if got := s.runIn(dir, nil, "queues"); got.code != 0 {
		t.Errorf("without a file: %+v", got)
	}
	own := write(t, "own.yaml", "queue: own\n")
	must(t, os.WriteFile(dir+"/"+settings.DefaultFile, []byte("queue: theirs\n"), 0o600))
	for _, got := range []result{
		s.runIn(dir, nil, "push", "a", "--config", own), s.runIn(dir, []string{"SQLQUEUE_CONFIG=" + own}, "push", "a"),
	} {
		if got.code != 0 {
			t.Errorf("%+v", got)
		}
	}
	if jobs := s.jobs("--queue", "own"); len(jobs) != 2 {
		t.Errorf("the jobs are %+v", s.jobs())
	}
}

// Who lets every user of the host read a password hears of it, once.
func TestFilesThatOthersReadAreWarnedOf(t *testing.T) {
	t.Parallel()
	const standard = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for name, test := range map[string]struct {
		mode os.FileMode
		text string
		args []string
		warn bool
	}{
		"password":             {0o644, "dsn: postgres://app:" + secret + "@db/shop\n", []string{"config", "show", "--config"}, true},
		"password, own":        {0o600, "dsn: postgres://app:" + secret + "@db/shop\n", []string{"config", "show", "--config"}, false},
		"password, of a group": {0o640, "dsn: postgres://app:" + secret + "@db/shop\n", []string{"config", "show", "--config"}, false},
		"no password":          {0o644, "dsn: postgres://app@db/shop\n", []string{"config", "show", "--config"}, false},
		"secret":               {0o604, standard + "\r\n", []string{"subscribe", "a", "http://127.0.0.1:9/", "--secret-file"}, true},
		"secret, own":          {0o600, standard + "\n", []string{"subscribe", "a", "http://127.0.0.1:9/", "--secret-file"}, false},
		"handlers": {
			0o644, "a: {url: 'http://127.0.0.1:9/', secret: " + standard + "}",
			[]string{"work", "--once", "--sleep", "0.01", "--handlers"},
			true,
		},
		"handlers, processes": {
			0o644, "a: {url: 'http://127.0.0.1:9/', headers: {a: b}}",
			[]string{"work", "--processes", "2", "--stop-when-empty", "--handlers"},
			true,
		},
		"handlers, none": {0o644, "a: {url: 'http://127.0.0.1:9/'}", []string{"work", "--once", "--sleep", "0.01", "--handlers"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := migrated(t)
			file := write(t, "file", test.text)
			must(t, os.Chmod(file, test.mode))
			got := s.runIn(t.TempDir(), nil, append(test.args, file)...)
			want := 0
			if test.warn {
				want = 1
			}
			if n := strings.Count(got.stderr, "sqlqueue: warning: every user of this host can read"); got.code != 0 || n != want {
				t.Errorf("%d warnings, want %d: %+v", n, want, got)
			}
		})
	}
}

// The host that a configuration file names is not told PGPASSWORD, even when it asks. One that the environment names is.
func TestAFileGetsNoPasswordOfTheEnvironmentInClear(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		parameters string
		inFile     bool
		told       bool
	}{
		"file":                       {"", true, false},
		"file that wants it":         {"&require_auth=password", true, false},
		"file that wants it, listed": {"&require_auth=md5%2C%20password", true, false},
		"environment":                {"", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			told := make(chan bool, 100)
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						close(told)
						return
					}
					told <- asksForPassword(conn)
				}
			}()
			dsn := "postgres://app@" + listener.Addr().String() + "/shop?sslmode=disable" + test.parameters
			env, text := []string{"PGPASSWORD=" + secret, "SQLQUEUE_DSN=" + dsn}, "queue: a\n"
			if test.inFile {
				env[1], text = "SQLQUEUE_DSN=", "dsn: "+dsn+"\n"
			}
			got := newShell(t).runIn(t.TempDir(), env, "queues", "--config", write(t, "file", text))
			must(t, listener.Close())
			was := false
			for one := range told {
				was = was || one
			}
			if was != test.told || got.code != 1 {
				t.Errorf("told: %t, want %t: %+v", was, test.told, got)
			}
			if test.inFile && !strings.Contains(got.stderr, "does not get PGPASSWORD as plain text: give the address in SQLQUEUE_DSN") {
				t.Errorf("standard error is %q", got.stderr)
			}
			checkSecret(t, name, got)
		})
	}
}

// asksForPassword is a server that asks for the password itself. It reports whether it was told.
func asksForPassword(conn net.Conn) bool {
	defer conn.Close()
	backend := pgproto3.NewBackend(conn, conn)
	if _, err := backend.ReceiveStartupMessage(); err != nil {
		return false
	}
	backend.Send(&pgproto3.AuthenticationCleartextPassword{})
	if backend.Flush() != nil || backend.SetAuthType(pgproto3.AuthTypeCleartextPassword) != nil {
		return false
	}
	m, err := backend.Receive()
	password, ok := m.(*pgproto3.PasswordMessage)
	return err == nil && ok && password.Password == secret
}

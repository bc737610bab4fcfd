package integration

import (
	"bytes"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/sqlqueue/sqlqueue/integration/servers"
	"github.com/sqlqueue/sqlqueue/migrations"
)

// TestReadmePrograms: the program of the README runs as it stands on PostgreSQL, and on the other databases with what its table says to
// replace.
func TestReadmePrograms(t *testing.T) {
	t.Parallel()
	programs := readmePrograms(t)
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		dsn := migrated(t, s, "")
		if s.Engine == "postgres" {
			runProgram(t, programs[0], dsn)
			return
		}
		runProgram(t, programs[1], driverDSN(t, dsn))
	})
	t.Run("sqlite", func(t *testing.T) {
		address := "file:" + filepath.Join(t.TempDir(), "app.db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)"
		db, err := sql.Open("sqlite", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		m, err := migrations.New(db, migrations.SQLite, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
		runProgram(t, programs[2], address)
	})
}

// readmePrograms returns the programs for PostgreSQL, for MySQL and MariaDB, and for SQLite.
func readmePrograms(t *testing.T) [3]string {
	t.Helper()
	blocks := fenced(t, "go")
	if len(blocks) != 1 {
		t.Fatalf("the README has %d programs, want 1", len(blocks))
	}
	programs := [3]string{blocks[0], blocks[0], blocks[0]}
	_, table, _ := strings.Cut(content(t, "../README.md"), "\n| PostgreSQL | MySQL, MariaDB | SQLite |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(table, "\n")
	if len(rows) < 5 {
		t.Fatalf("the README's table of what differs has %d rows", len(rows))
	}
	for _, row := range rows {
		var words []string
		for cell := range strings.SplitSeq(strings.Trim(row, "| "), " | ") {
			words = append(words, strings.ReplaceAll(strings.Trim(cell, "`"), "` `", "\n\t"))
		}
		if len(words) != 3 || !strings.Contains(blocks[0], words[0]) {
			t.Errorf("not in the program: %s", row)
			continue
		}
		for n := 1; n < 3; n++ {
			programs[n] = strings.ReplaceAll(programs[n], words[0], words[n])
		}
	}
	return programs
}

func runProgram(t *testing.T, program, address string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", "run", file)
	command.Env = append(os.Environ(), "DATABASE_URL="+address)
	output, err := command.CombinedOutput()
	if err != nil || !bytes.Contains(output, []byte("invoice for order 42\n")) {
		t.Errorf("%v: the program printed %q, want the invoice for order 42", err, output)
	}
}

// fenced returns the README's blocks of a language.
func fenced(t *testing.T, language string) []string {
	t.Helper()
	var blocks []string
	for _, block := range strings.Split("\n"+content(t, "../README.md"), "\n```"+language+"\n")[1:] {
		content, _, _ := strings.Cut(block, "\n```")
		blocks = append(blocks, content+"\n")
	}
	return blocks
}

// TestReadmeTranscript: the commands of the README print what it says, apart from times and the numbers of workers.
func TestReadmeTranscript(t *testing.T) {
	t.Parallel()
	blocks := fenced(t, "console")
	if len(blocks) != 1 {
		t.Fatalf("the README has %d transcripts, want 1", len(blocks))
	}
	bin := filepath.Dir(buildBinary(t))
	dir := t.TempDir()
	for _, step := range strings.Split("\n"+blocks[0], "\n$ ")[1:] {
		line, want, _ := strings.Cut(step, "\n")
		command := exec.CommandContext(t.Context(), "sh", "-c", line)
		command.Dir = dir
		command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SQLQUEUE_DSN=sqlite:sqlqueue.db", "SQLQUEUE_PREFIX=")
		output, _ := command.CombinedOutput() // what it answers is in the output
		if got, want := withoutTimes(string(output)), withoutTimes(want+"\n"); strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s\nprinted\n%s\nand the README says\n%s", line, got, want)
		}
	}
}

// withoutTimes makes two runs of the same commands alike.
func withoutTimes(output string) string {
	for pattern, same := range map[string]string{
		`\b(time|worker|name|duration|after)=[^ \n]+`: "$1=…",
		`\b(now|in \w+|\d+\w+ ago)\b *`:               "then ",
		`jobs restore [A-Z2-7]{26}`:                   "jobs restore …",
	} {
		output = regexp.MustCompile(pattern).ReplaceAllString(output, same)
	}
	return output
}

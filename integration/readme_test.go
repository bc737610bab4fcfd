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

// TestReadmePrograms: the programs of the README run as they stand, on the database that they are written for.
func TestReadmePrograms(t *testing.T) {
	t.Parallel()
	program := map[string]string{} // by the store that it imports
	for _, block := range fenced(t, "go") {
		if store := regexp.MustCompile(`sqlqueue/((?:pg|mysql|sqlite)queue)"`).FindStringSubmatch(block); store != nil {
			program[store[1]] = block
		}
	}
	if len(program) != 3 {
		t.Fatalf("the README has programs for %d databases, want 3", len(program))
	}
	servers.Each(t, func(t *testing.T, s *servers.Server) {
		dsn := migrated(t, s, "")
		if s.Engine == "postgres" {
			runProgram(t, program["pgqueue"], dsn)
			return
		}
		runProgram(t, program["mysqlqueue"], driverDSN(t, dsn))
	})
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "app.db")
		db, err := sql.Open("sqlite", path)
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
		runProgram(t, program["sqlitequeue"], path)
	})
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
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, block := range strings.Split("\n"+string(readme), "\n```"+language+"\n")[1:] {
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
		command.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "SQLQUEUE_DSN=", "SQLQUEUE_PREFIX=")
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
	} {
		output = regexp.MustCompile(pattern).ReplaceAllString(output, same)
	}
	return output
}

package migrationstest

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/migrations"
)

// A test suite that empties every table empties the table of versions as well.
func (s suite) emptiedVersionTable(t *testing.T) {
	for _, how := range []string{"DELETE FROM ", "DROP TABLE "} {
		m := s.up(t, "")
		if _, err := s.db.ExecContext(t.Context(), "INSERT INTO jobs (payload) VALUES ('{}')"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.db.ExecContext(t.Context(), how+migrations.VersionTable); err != nil {
			t.Fatal(err)
		}
		if applied, err := m.Up(t.Context()); err != nil || len(applied) != int(migrations.Latest()) {
			t.Fatalf("after %s Up applied %v, %v", how, applied, err)
		}
		s.wantVersion(t, m, migrations.Latest())
		var jobs int
		if err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM jobs").Scan(&jobs); err != nil || jobs != 1 {
			t.Errorf("of 1 job %d are left, %v", jobs, err)
		}
		if _, err := m.DownAll(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Where a step is done or not done, some of its tables without the others are not what Up can complete.
func (s suite) someTablesUnrecorded(t *testing.T) {
	m := s.up(t, "")
	for _, statement := range []string{"DELETE FROM " + migrations.VersionTable, "DROP TABLE job_counts"} {
		if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	_, err := m.Up(t.Context())
	if err == nil || !strings.Contains(err.Error(), migrations.VersionTable) ||
		!strings.Contains(err.Error(), "job_counts, job_counts_minute not") {
		t.Errorf("Up says %v, want it to name the table of versions and what is missing", err)
	}
	s.wantVersion(t, m, 0)
}

// MySQL commits each statement: whatever a dead server or process left, the next Up goes on from there.
func (s suite) interruptedUp(t *testing.T) {
	var up []string
	for _, step := range s.statements(t) {
		up = append(up, step.up...)
	}
	for done := range len(up) + 1 {
		s.empty(t)
		for _, statement := range up[:done] {
			if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		s.wantVersion(t, s.up(t, ""), migrations.Latest())
	}
	if _, err := s.migrator(t, s.db, "").DownAll(t.Context()); err != nil {
		t.Error(err)
	}
	// a version table that was made, and its first row was not
	if _, err := s.db.ExecContext(t.Context(), `DELETE FROM `+migrations.VersionTable); err != nil {
		t.Fatal(err)
	}
	s.wantVersion(t, s.up(t, ""), migrations.Latest())
}

// Down takes back one step after the other, and records each: whatever a dead server left of one, the next Down goes on from there.
func (s suite) interruptedDown(t *testing.T) {
	steps := s.statements(t)
	m := s.up(t, "")
	for i := len(steps) - 1; i >= 0; i-- {
		before := int64(i)
		for done := range len(steps[i].down) + 1 {
			if _, err := m.Up(t.Context()); err != nil {
				t.Fatal(err)
			}
			for range len(steps) - 1 - i {
				if _, err := m.Down(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for _, statement := range steps[i].down[:done] {
				if _, err := s.db.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := m.Down(t.Context()); err != nil {
				t.Error(err)
			}
			s.wantVersion(t, m, before)
		}
	}
}

// step is the statements of a file.
type step struct{ up, down []string }

// statements are those of the files, in the order in which they run.
func (s suite) statements(t *testing.T) (steps []step) {
	files, err := migrations.Files(s.dialect, "")
	if err != nil {
		t.Fatal(err)
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(file), "-- +goose Up\n")
		up, down, _ := strings.Cut(body, "-- +goose Down\n")
		steps = append(steps, step{split(up), split(down)})
	}
	return steps
}

func split(body string) (statements []string) {
	for part := range strings.SplitSeq(body, ";\n") {
		if strings.TrimSpace(part) != "" {
			statements = append(statements, part)
		}
	}
	return statements
}

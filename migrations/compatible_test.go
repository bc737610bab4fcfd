package migrations

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

// TestOlderProgramsWork: a migration that does not stop older programs, by a row in job_schema, only adds what they need not know. They go
// on inserting rows without the new columns, and reading the old ones.
func TestOlderProgramsWork(t *testing.T) {
	for _, dialect := range []Dialect{Postgres, MySQL, SQLite} {
		files, err := Files(dialect, "")
		if err != nil {
			t.Fatal(err)
		}
		names, err := fs.Glob(files, "*.sql")
		if err != nil || len(names) < 8 {
			t.Fatalf("%s: %q, %v", dialect, names, err)
		}
		for i, name := range names[1:] {
			text, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatal(err)
			}
			_, body, _ := strings.Cut(string(text), "-- +goose Up\n")
			up, _, _ := strings.Cut(body, "-- +goose Down\n")
			if regexp.MustCompile(fmt.Sprintf(`INTO .job_schema. \(compatible_from\) VALUES \(%d\)`, i+2)).MatchString(up) {
				continue
			}
			for _, wrong := range breaking(up) {
				t.Errorf("%s/%s: older programs may not work with the tables after: %s\n"+
					"Give a new column a DEFAULT or let it be NULL, and leave what is there as it is. "+
					"If that is not possible, stop older programs: INSERT INTO job_schema (compatible_from) VALUES (%d)",
					dialect, name, wrong, i+2)
			}
		}
	}
}

func TestBreaking(t *testing.T) {
	for statement, breaks := range map[string]bool{
		`CREATE TABLE "a" (id bigint NOT NULL UNIQUE, CHECK (id > 0))`:                                       false,
		"CREATE TABLE \"a\" (id bigint);\n-- why\nCREATE UNIQUE INDEX \"a_id\" ON \"a\" (id)":                false,
		`CREATE INDEX "b" ON "jobs" (queue)`:                                                                 false,
		`COMMENT ON TABLE "jobs" IS 'NOT NULL'`:                                                              false,
		`ALTER TABLE "jobs" ADD COLUMN colour text`:                                                          false,
		`ALTER TABLE "jobs" ADD COLUMN colour text NOT NULL DEFAULT ''`:                                      false,
		`ALTER TABLE "jobs" ADD COLUMN n integer CHECK (n >= 0 AND typeof(n) = 'integer'), ADD COLUMN m int`: false,
		"ALTER TABLE `jobs` ADD COLUMN n INT NOT NULL DEFAULT 0 COMMENT 'a, ADD CHECK (queue > 1)'":          false,
		`CREATE UNIQUE INDEX "b" ON "jobs" (queue)`:                                                          true,
		`ALTER TABLE "jobs" ADD COLUMN colour text NOT NULL`:                                                 true,
		`ALTER TABLE "jobs" ADD COLUMN a text DEFAULT '', ADD COLUMN b text NOT NULL`:                        true,
		`ALTER TABLE "jobs" ADD COLUMN colour text NOT NULL CHECK (colour <> 'DEFAULT')`:                     true,
		`ALTER TABLE "jobs" ADD COLUMN n integer UNIQUE DEFAULT 0`:                                           true,
		`ALTER TABLE "jobs" ADD COLUMN n integer DEFAULT 0 CHECK (n < priority)`:                             true,
		`ALTER TABLE "jobs" ADD COLUMN colour text, ADD CHECK (priority > 0)`:                                true,
		`ALTER TABLE "jobs" ADD CONSTRAINT "c" CHECK (priority > 0)`:                                         true,
		`ALTER TABLE "jobs" ADD COLUMN colour text, DROP COLUMN priority`:                                    true,
		`ALTER TABLE "jobs" DROP COLUMN priority`:                                                            true,
		`ALTER TABLE "jobs" RENAME COLUMN priority TO urgency`:                                               true,
		`ALTER TABLE "jobs" ALTER COLUMN priority TYPE text`:                                                 true,
		"ALTER TABLE `jobs` MODIFY COLUMN priority TEXT":                                                     true,
		`ALTER TABLE "jobs" RENAME TO "work"`:                                                                true,
		`DROP TABLE "jobs"`:                                                                                  true,
		`DROP INDEX "jobs_ready"`:                                                                            true, // MySQL's FORCE INDEX
		`UPDATE "jobs" SET priority = 0`:                                                                     true,
		"CREATE TABLE \"a\" (id bigint);\nDROP TABLE \"jobs\"":                                               true,
	} {
		if got := breaking(statement); len(got) > 0 != breaks {
			t.Errorf("%s: got %q, breaks older programs: %v", statement, got, breaks)
		}
	}
}

var (
	quotedText = regexp.MustCompile(`'(?:[^']|'')*'`)
	comment    = regexp.MustCompile(`(?m)--.*$`)
	made       = regexp.MustCompile("^CREATE TABLE [\"`](\\w+)[\"`]")
	unique     = regexp.MustCompile("^CREATE UNIQUE INDEX [\"`]\\w+[\"`] ON [\"`](\\w+)[\"`]")
	harmless   = regexp.MustCompile(`^(CREATE INDEX|COMMENT ON) `)
	altered    = regexp.MustCompile("^ALTER TABLE [\"`]\\w+[\"`]\\s+(ADD COLUMN\\s[\\s\\S]*)$")
	changes    = regexp.MustCompile(`\b(DROP|RENAME|ALTER|MODIFY|CHANGE|UNIQUE)\b`)
	added      = regexp.MustCompile(`(?:^|,)\s*ADD\s+`)
	newColumn  = regexp.MustCompile(`^COLUMN\s+(\w+)\s+([\s\S]*)$`)
	check      = regexp.MustCompile(`CHECK\s*\(([\s\S]*)\)`)
	word       = regexp.MustCompile(`\b[a-z_]+\b\(?`)
)

// breaking returns the statements that programs which do not know of them may not work with.
func breaking(sql string) (wrong []string) {
	own := map[string]bool{} // tables that are new
	for statement := range strings.SplitSeq(quotedText.ReplaceAllString(comment.ReplaceAllString(sql, ""), "''"), ";") {
		statement = strings.TrimSpace(statement)
		if name := made.FindStringSubmatch(statement); name != nil {
			own[name[1]] = true
			continue
		}
		if on := unique.FindStringSubmatch(statement); on != nil && own[on[1]] || statement == "" || harmless.MatchString(statement) {
			continue
		}
		if !addsOnly(statement) {
			wrong = append(wrong, statement)
		}
	}
	return wrong
}

// addsOnly reports whether a statement adds columns that need no value, and that say nothing about others.
func addsOnly(statement string) bool {
	clauses := altered.FindStringSubmatch(statement)
	if clauses == nil || changes.MatchString(clauses[1]) {
		return false
	}
	for _, clause := range added.Split(clauses[1], -1)[1:] {
		c := newColumn.FindStringSubmatch(clause)
		if c == nil || strings.Contains(c[2], "NOT NULL") && !strings.Contains(c[2], "DEFAULT") {
			return false
		}
		if rule := check.FindStringSubmatch(c[2]); rule != nil {
			for _, w := range word.FindAllString(rule[1], -1) {
				if w != c[1] && !strings.HasSuffix(w, "(") { // another column, and no function
					return false
				}
			}
		}
	}
	return true
}

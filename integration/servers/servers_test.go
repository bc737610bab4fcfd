package servers

import (
	"regexp"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	beHelper()
	Main(m)
}

func TestServerHasEngineVersionAndWay(t *testing.T) {
	Each(t, func(t *testing.T, s *Server) {
		if !regexp.MustCompile(`^\d+\.\d+`).MatchString(s.Version) {
			t.Errorf("version %q is not a number", s.Version)
		}
		if s.Way == "" {
			t.Error("the way is not told")
		}
		var full string
		db := s.Open(t, s.NewDatabase(t))
		if err := db.QueryRowContext(t.Context(), "SELECT version()").Scan(&full); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(full, s.Version) {
			t.Errorf("version is %s, the server says %s", s.Version, full)
		}
		if isMariaDB := strings.Contains(full, "MariaDB"); isMariaDB != (s.Engine == "mariadb") {
			t.Errorf("engine is %s, the server says %s", s.Engine, full)
		}
	})
}

func TestNewDatabaseIsEmptyAndAlone(t *testing.T) {
	Each(t, func(t *testing.T, s *Server) {
		first, second := s.Open(t, s.NewDatabase(t)), s.Open(t, s.NewDatabase(t))
		if _, err := first.ExecContext(t.Context(), "CREATE TABLE here (id integer)"); err != nil {
			t.Fatal(err)
		}
		if _, err := first.ExecContext(t.Context(), "INSERT INTO here VALUES (1)"); err != nil {
			t.Error(err)
		}
		if _, err := second.ExecContext(t.Context(), "INSERT INTO here VALUES (1)"); err == nil {
			t.Error("a table created in one database is in the other")
		}
	})
}

func TestNewDatabaseIsDroppedWhileInUse(t *testing.T) {
	gone := regexp.MustCompile("does not exist|Unknown database")
	Each(t, func(t *testing.T, s *Server) {
		outer := t
		var dsn string
		t.Run("test that leaves a transaction open", func(t *testing.T) {
			dsn = s.NewDatabase(t)
			// opened for the outer test, so that it stays open
			connection, err := s.Open(outer, dsn).Conn(outer.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{"CREATE TABLE here (id integer)", "BEGIN", "INSERT INTO here VALUES (1)"} {
				if _, err := connection.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
		})
		if err := s.Open(t, dsn).PingContext(t.Context()); err == nil || !gone.MatchString(err.Error()) {
			t.Errorf("connecting to the database after its test: %v, want that it does not exist", err)
		}
	})
}

func TestDSNIsOfTheDocumentedForm(t *testing.T) {
	form := regexp.MustCompile(`^(postgres|mysql)://[^:/@]+:[^:/@]+@[^:/@]+:\d+/sqlqueue_[a-z0-9]+(\?.*)?$`)
	Each(t, func(t *testing.T, s *Server) {
		if dsn := s.NewDatabase(t); !form.MatchString(dsn) {
			t.Errorf("%s does not match %s", dsn, form)
		}
	})
}

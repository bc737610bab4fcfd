package operator

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// TestFiltersAreUsed: each field of a filter is a condition of its own. One that whereJobs or whereFailed forgets would select more jobs
// than were asked for, and CancelAll and Forget would delete them.
func TestFiltersAreUsed(t *testing.T) {
	noConditions := []string{
		"JobFilter.Limit", "FailedFilter.Limit", // stand after LIMIT, in every statement
		"JobFilter.PayloadMax", "FailedFilter.TextMax", // cut columns
		"JobFilter.Newest", // is the order
	}
	testFilter(t, noConditions, (*statement).whereJobs)
	testFilter(t, noConditions, (*statement).whereFailed)
}

func testFilter[F any](t *testing.T, noConditions []string, where func(*statement, F)) {
	t.Helper()
	written := func(f F) string {
		db := &writtenDB{}
		s := &statement{(&sqldb.Database{Dialect: testDialect}).Statement("")}
		where(s, f)
		if _, err := s.Exec(t.Context(), db); !errors.Is(err, errWritten) {
			t.Fatal(err)
		}
		return db.sql
	}
	var empty F
	of := reflect.TypeFor[F]()
	for field := range of.Fields() {
		f := empty
		v := reflect.ValueOf(&f).Elem().FieldByName(field.Name)
		v.Set(some(t, v.Type()))
		condition := written(f) != written(empty)
		if name := of.Name() + "." + field.Name; condition == slices.Contains(noConditions, name) {
			t.Errorf("%s is a condition: %v, want %v", name, condition, !condition)
		}
	}
}

// some returns a value that is not the zero value.
func some(t *testing.T, of reflect.Type) reflect.Value {
	t.Helper()
	switch of {
	case reflect.TypeFor[time.Time]():
		return reflect.ValueOf(time.Unix(7, 0))
	case reflect.TypeFor[State]():
		return reflect.ValueOf(Delayed)
	case reflect.TypeFor[Field]():
		return reflect.ValueOf(Field{Path: []string{"key"}, Value: "value"})
	}
	v := reflect.New(of).Elem()
	switch of.Kind() {
	case reflect.Slice:
		v.Set(reflect.Append(v, some(t, of.Elem())))
	case reflect.Int, reflect.Int16, reflect.Int64:
		v.SetInt(7)
	case reflect.String:
		v.SetString("seven")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(of.Elem()))
	default:
		t.Fatalf("no value of the type %v is known: add one", of)
	}
	return v
}

var testDialect = sqldb.Dialect{
	Placeholder: func(int) string { return "?" },
	Now:         "now()", Time: "%s", Micros: "%s", Plain: "plain", Name: "name", Text: "%s", Like: "%s LIKE %s",
	Pattern: sqldb.LikePattern,
	Field:   func(arg func(any) string, keys []string) string { return arg(strings.Join(keys, ".")) },
}

var errWritten = errors.New("written")

// writtenDB notes the statement that it is to run, with its arguments.
type writtenDB struct{ sql string }

func (d *writtenDB) Exec(_ context.Context, query string, args ...any) (int64, error) {
	d.sql = query + fmt.Sprint(args...)
	return 0, errWritten
}

func (d *writtenDB) Query(context.Context, string, ...any) (sqldb.Rows, error) {
	return nil, errWritten
}

package sqldb_test

import (
	"context"
	"fmt"

	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// printer is a DB that prints what it is to run.
type printer struct{ sqldb.DB }

func (printer) Exec(_ context.Context, query string, args ...any) (int64, error) {
	fmt.Println(query, args)
	return 0, nil
}

// Names of tables have the prefix, and places of arguments are the dialect's.
func ExampleDatabase_Statement() {
	db := &sqldb.Database{
		Prefix: "shop_", Dialect: sqldb.Dialect{Quote: `"`, Placeholder: func(n int) string { return fmt.Sprintf("$%d", n) }},
	}
	s := db.Statement("DELETE FROM %s WHERE ", db.Table("jobs"))
	s.Add("queue = %s AND ", s.Arg("mail"))
	s.Add("%s", s.In("id", []int64{1, 2}))
	_, _ = s.Exec(context.Background(), printer{})
	// Output: DELETE FROM "shop_jobs" WHERE queue = $1 AND (id IN ($2, $3)) [mail 1 2]
}

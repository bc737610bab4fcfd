package mysqlqueue

import (
	"fmt"
	"strings"
)

// newNames puts a prefix before the names of tables and indexes, which stand in braces in this package's SQL, as nothing else does.
func newNames(prefix string) *strings.Replacer {
	return strings.NewReplacer("{", "`"+prefix, "}", "`")
}

// sql fills in the names of the tables, and then what the statement needs.
func (s *store) sql(statement string, a ...any) string {
	return fmt.Sprintf(s.names.Replace(statement), a...)
}

package sqldb

import (
	"strings"
)

// Dialect is how a database writes what the others write differently.
type Dialect struct {
	Quote       string                      // around the names of tables
	Placeholder func(int) string            // the nth argument, from 1
	Now         string                      // the time now, as the tables keep it, for values; empty where Go's clock counts
	Began       string                      // the time when the statement began, for conditions, which then can go by an index; empty: Now
	Time        string                      // microseconds since 1970 (%s) as the tables keep times
	Micros      string                      // a time of the tables (%s) as microseconds since 1970
	Payload     string                      // the payload as text; empty: it is one
	Plain       string                      // whether Name is what sqlqueue.ParsePayload says; never an error, whatever the payload
	Name        string                      // the name of a payload that is Plain; NULL if it has none
	Text        string                      // the argument %s as a text that is compared byte by byte
	Like        string                      // whether a text (%[1]s) matches the pattern %[2]s
	Pattern     func(parts []string) string // what has the parts in it, in this order
	ForUpdate   string                      // what makes a SELECT lock its rows
	SkipLocked  string                      // ForUpdate that leaves out what others have locked
	OnConflict  string                      // what makes an INSERT into queues leave an existing row alone
	Empty       string                      // the empty text as a literal, where one as an argument may be taken for NULL; else empty
	Remainder   string                      // that of %s, divided by %d; empty: %s %% %d

	// KeepHeld makes an INSERT into jobs leave out a row whose unique key is held; empty: its error says so. KeyHeld reports whether an
	// error says that the index of unique keys has an entry already.
	KeepHeld string
	KeyHeld  func(err error, index string) bool

	// Field is the text of the payload's value under the keys, one in the other; NULL if there is none. It has what it needs written as
	// arguments.
	Field func(arg func(any) string, keys []string) string

	// What is locked or changed by id must be looked up by id, so that no rows of others are in the way. ByID stands after the table's
	// name and sees to it; Delete is a DELETE from the table %s up to its condition. Empty: the planner does it by itself.
	ByID, Delete string

	// Paged stands after the name of jobs where they are read in the order of their ids, up to a limit, by conditions of which an index may
	// know only some: it keeps the planner from an index that has it read and sort all that these leave. Empty: the planner knows better.
	Paged string

	// Force stands after the table's name and makes a statement use the index %s. Empty: the planner does it by itself.
	Force string

	// Waiting is what the conditions of a search in jobs_ready need, where that index has only jobs that are not reserved. Reserved is
	// what those of a search for reserved jobs in jobs_expiry are.
	Waiting, Reserved string

	// Endless is the condition of the reserved jobs that Reserved leaves out. Empty: it leaves out none.
	Endless string
}

// LikePattern is a Dialect's Pattern for LIKE with ESCAPE '!'.
func LikePattern(parts []string) string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(part)
	}
	return "%" + strings.Join(escaped, "%") + "%"
}

// JSONPath is the path of a value under keys, which have no quotes in them, for functions that take $."data"."id".
func JSONPath(keys []string) string { return `$."` + strings.Join(keys, `"."`) + `"` }

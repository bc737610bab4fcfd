package sqldb

import (
	"fmt"
	"strings"
)

// Dialect is the SQL in which databases differ. A field that may be empty says so. Texts with %s in them are formats.
type Dialect struct {
	Quote       string           // before and after the names of tables and indexes
	Placeholder func(int) string // of the nth argument, from 1

	// Times. Now is the time now, as the tables keep times; empty: the store uses Go's clock. Began is the time when the statement began,
	// for conditions that should use an index; empty: Now. Time makes a time of the tables from microseconds since 1970, and Micros the
	// reverse.
	Now, Began, Time, Micros string

	// Text makes a text that is compared byte by byte. Like is the condition that the text %[1]s matches the pattern %[2]s, and Pattern
	// makes the pattern of texts that have all the parts in them, in this order. Empty is the empty text as a literal, for a database that
	// may take an empty argument for NULL; otherwise it is empty.
	Text, Like string
	Pattern    func(parts []string) string
	Empty      string

	// Remainder is that of %s divided by %d; empty: %s %% %d. Sum is a sum of whole numbers that may be any; empty: sum. Step is when the
	// step of a time in the column %[1]s begins, in steps of %[3]d microseconds from the time %[2]s on; empty: reckoned in microseconds.
	Remainder, Sum, Step string

	// Payload is the payload as text; empty: the column is text. Name is the name of the handler in a payload, NULL if there is no name. It
	// must be right only for payloads for which the condition Plain is true: the others are read with sqlqueue.ParsePayload. Plain must not
	// fail on any payload, and must be true for nearly all of them.
	Payload, Name, Plain string

	// Field is the text of the payload's value under the nested keys; NULL if it does not exist. Of members of the same name the last
	// counts, as it does for encoding/json. It writes its arguments with arg.
	Field func(arg func(any) string, keys []string) string

	// ForUpdate makes a SELECT lock its rows, and SkipLocked lock only those that no other transaction has locked and leave out the rest.
	// Both are empty for a database with a single writer.
	ForUpdate, SkipLocked string

	// OnConflict makes an INSERT skip a row that exists already. KeepHeld makes an INSERT into jobs skip a row whose unique key is held;
	// empty: it fails with an error that KeyHeld recognises. KeyHeld reports whether an error says that this unique index has the entry
	// already.
	OnConflict, KeepHeld string
	KeyHeld              func(err error, index string) bool

	// ByID comes after a table's name where rows are locked or changed by id. It makes the database look them up by id, so that other
	// transactions' rows do not matter. Delete is a DELETE from the table %s that does so, up to its condition. Empty: the database does it
	// by itself.
	ByID, Delete string

	// ByIndex is a statement after which the planner uses only indexes, until the transaction ends. Empty: not needed.
	ByIndex string

	// Force comes after a table's name and makes the database use the index %s. Empty: it does so by itself.
	Force string

	// Paged comes after the name of jobs where they are read in the order of their ids, up to a limit, by conditions that an index covers
	// only in part. It keeps the database from using such an index and sorting all remaining rows. Empty: not needed.
	Paged string

	// Waiting are further conditions for a search in the index jobs_ready, if that has only jobs that are not reserved, such as " AND NOT
	// reserved". Reserved is the condition for a search for reserved jobs in the index jobs_expiry. Endless is the condition for the
	// reserved jobs that Reserved leaves out; empty: there are none.
	Waiting, Reserved, Endless string

	// Level is the condition of the index jobs_running, beside reserved: the queue has a slash in its name. Empty: there is no such index,
	// and the database finds the queues of a level one by one.
	Level string
}

// LikePattern is a Dialect's Pattern for LIKE with ESCAPE '!'.
func LikePattern(parts []string) string {
	escaped := make([]string, len(parts))
	for i, part := range parts {
		escaped[i] = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(part)
	}
	return "%" + strings.Join(escaped, "%") + "%"
}

// JSONPath is the path of the value under keys, for functions that take paths such as $."data"."id". The keys have no quotes in them.
func JSONPath(keys []string) string { return `$."` + strings.Join(keys, `"."`) + `"` }

// Repeated is the condition that one of the keys may stand in the payload more than once, for databases whose functions take the first.
// Both texts are SQL.
func Repeated(arg func(any) string, payload, empty string, keys []string) string {
	var conditions []string
	for _, key := range keys {
		key = `"` + key + `"`
		conditions = append(conditions,
			fmt.Sprintf("length(%[1]s) - length(replace(%[1]s, %[2]s, %[3]s)) > length(%[4]s)", payload, arg(key), empty, arg(key)))
	}
	return strings.Join(conditions, " OR ")
}

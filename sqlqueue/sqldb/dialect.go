package sqldb

import "strings"

// Dialect is how a database writes what others write differently. A field that may be empty says so. Texts with %s in them are formats.
type Dialect struct {
	Quote       string           // stands around the names of tables and indexes
	Placeholder func(int) string // stands for the nth argument, from 1

	// Times. Now is the time now, as the tables keep times; empty: the store goes by Go's clock. Began is the time when the statement
	// began, for conditions that are to go by an index; empty: Now. Time makes a time of the tables from microseconds since 1970, and
	// Micros the reverse.
	Now, Began, Time, Micros string

	// Text makes a text that is compared byte by byte. Like is the condition that the text %[1]s matches the pattern %[2]s, and Pattern
	// makes the pattern of texts that have all the parts in them, in this order. Empty is the empty text as a literal, for a database that
	// may take an empty argument for NULL; otherwise it is empty.
	Text, Like string
	Pattern    func(parts []string) string
	Empty      string

	// Remainder is that of %s divided by %d; empty: %s %% %d.
	Remainder string

	// Payload is the payload as text; empty: it is one. Name is the name of the handler in a payload, NULL if it has none. It need be right
	// only for payloads for which the condition Plain is true: the others are read with sqlqueue.ParsePayload. Plain must not fail,
	// whatever the payload is, and be true of nearly all of them.
	Payload, Name, Plain string

	// Field is the text of the payload's value under the keys, one in the other; NULL if there is none. It writes its arguments with arg.
	Field func(arg func(any) string, keys []string) string

	// ForUpdate makes a SELECT lock its rows, and SkipLocked lock only those that no other transaction has locked and leave out the rest.
	// Both are empty for a database with a single writer.
	ForUpdate, SkipLocked string

	// OnConflict makes an INSERT leave alone a row that is there already. KeepHeld makes an INSERT into jobs leave out a row whose unique
	// key is held; empty: it fails, and KeyHeld tells why. KeyHeld reports whether an error says that this index, which is unique, has an
	// entry already.
	OnConflict, KeepHeld string
	KeyHeld              func(err error, index string) bool

	// ByID stands after a table's name where rows are locked or changed by id, and makes the database look them up by id, so that rows of
	// others are not in the way. Delete is a DELETE from the table %s that does so, up to its condition. Empty: the database does it by
	// itself.
	ByID, Delete string

	// ByIndex is a statement after which the planner takes only paths by index, until the transaction ends. Empty: it need not be told.
	ByIndex string

	// Force stands after a table's name and makes the database use the index %s. Empty: it does so by itself.
	Force string

	// Paged stands after the name of jobs where they are read in the order of their ids, up to a limit, by conditions of which an index may
	// know only some. It keeps the database from an index after which it would have to sort all that is left. Empty: it knows better by
	// itself.
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

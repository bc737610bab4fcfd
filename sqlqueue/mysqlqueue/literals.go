package mysqlqueue

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/sqldb"
)

// An exchange writes its values into its statements: for a statement with arguments the driver prepares, executes and closes, which is
// one more round trip (unless the DSN has interpolateParams), and lists of ids would be limited to 65,535.

// emptyText is the empty text, also under EMPTY_STRING_IS_NULL.
const emptyText = "_utf8mb4 X''"

// text is s as a literal that means the same under every sql_mode, whatever s is.
func text(s string) string { return string(appendText(nil, s)) }

// appendText appends s as a literal. Where a quote or a backslash stands in it, it is written in hexadecimal.
func appendText[T string | []byte](b []byte, s T) []byte {
	if len(s) == 0 {
		return append(b, emptyText...)
	}
	b = append(b, "_utf8mb4"...)
	for i := range len(s) {
		if s[i] == '\'' || s[i] == '\\' {
			b = append(b, " X'"...)
			return append(hex.AppendEncode(b, []byte(s)), '\'')
		}
	}
	return append(append(append(b, '\''), s...), '\'')
}

// texts is a list for IN.
func texts(values []string) string {
	literals := make([]string, len(values))
	for i, value := range values {
		literals[i] = text(value)
	}
	return strings.Join(literals, ", ")
}

// mostIDs is how many ids stand in one list. From 1,000 on MariaDB makes a list into a subquery, and scans the table for it.
const mostIDs = 500

// noID is an id that no row has: the greatest but some, since 0 and the greatest are what somebody may write by mistake. One beyond int64
// would keep MariaDB from using the index.
const noID = "9223372036854775783"

// integers is a list of ids for IN, sorted, so that all lock in the same order. It ends with noID: a row that is looked up by one id alone is
// read as a constant, and then both servers keep its lock even if it does not pass the other conditions.
func integers(ids []int64) string {
	var list []byte
	for _, id := range slices.Sorted(slices.Values(ids)) {
		list = append(strconv.AppendInt(list, id, 10), ',')
	}
	return string(append(list, noID...))
}

// unpadded is a CHAR without the spaces that PAD_CHAR_TO_FULL_LENGTH, a deprecated sql_mode, leaves at its end.
func unpadded(s string) string { return strings.TrimRight(s, " ") }

// after is the time now, moved by d.
func after(d time.Duration) string {
	if d == 0 {
		return now
	}
	return now + " + INTERVAL " + strconv.FormatInt(d.Microseconds(), 10) + " MICROSECOND"
}

func idsOf(reservations []sqlqueue.Reservation) string {
	ids := make([]int64, len(reservations))
	for i, r := range reservations {
		ids[i] = r.ID
	}
	return integers(ids)
}

// numbersOf lists each number once.
func numbersOf(reservations []sqlqueue.Reservation) string {
	numbers := make([]string, len(reservations))
	for i, r := range reservations {
		numbers[i] = r.By
	}
	slices.Sort(numbers)
	return texts(slices.Compact(numbers))
}

func momentOf(t time.Time) string { return fmt.Sprintf(moment, fmt.Sprint(t.UnixMicro())) }

// timeOf is a time of the tables, which may have a year before the first.
func timeOf(micros int64) time.Time { return sqldb.Time(micros) }

// timeOrZero is the zero time, the first moment of the year 1, for what is none: 0000-00-00, or 2024-00-10.
func timeOrZero(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return timeOf(micros.Int64)
}

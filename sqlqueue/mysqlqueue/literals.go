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

// An exchange writes its values into its statements. A statement with arguments would cost a round trip more, because the driver prepares
// it first (unless the DSN has interpolateParams), and it could have no more than 65,535 ids.

// emptyText is the empty text, also under EMPTY_STRING_IS_NULL.
const emptyText = "_utf8mb4 X''"

// text returns s as a literal that means the same under every sql_mode.
func text(s string) string { return string(appendText(nil, s)) }

// appendText appends s as a literal. If there is a quote or a backslash in it, it is written in hexadecimal.
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

// texts returns a list of literals for IN.
func texts(values []string) string {
	literals := make([]string, len(values))
	for i, value := range values {
		literals[i] = text(value)
	}
	return strings.Join(literals, ", ")
}

// mostIDs is how many ids one list has at most. MariaDB turns a list of 1,000 or more into a subquery, and scans the table for it.
const mostIDs = 500

// noID is an id that no row has. It is near the greatest int64, and not that or 0, which somebody may have written by mistake. A number
// beyond int64 would keep MariaDB from using the index.
const noID = "9223372036854775783"

// integers returns a list of ids for IN, sorted, so that all lock in the same order. It ends with noID because a single id would be read as
// a constant, and then both servers keep the row's lock even if it does not pass the other conditions.
func integers(ids []int64) string {
	var list []byte
	for _, id := range slices.Sorted(slices.Values(ids)) {
		list = append(strconv.AppendInt(list, id, 10), ',')
	}
	return string(append(list, noID...))
}

// unpadded returns a CHAR without the spaces that the deprecated sql_mode PAD_CHAR_TO_FULL_LENGTH leaves at its end.
func unpadded(s string) string { return strings.TrimRight(s, " ") }

// after returns the time d from now, in SQL.
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

// timeOf returns a time of the tables, which may be before the year 1.
func timeOf(micros int64) time.Time { return sqldb.Time(micros) }

// timeOrZero returns a time of the tables, or the zero time for what is none, such as 0000-00-00 or 2024-00-10.
func timeOrZero(micros sql.NullInt64) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return timeOf(micros.Int64)
}

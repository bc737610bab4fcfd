package storetest

import (
	"fmt"
	"strconv"
	"strings"
)

// extreme is a value as it is written in SQL. One that a database does not understand counts as refused.
type extreme struct{ what, sql string }

func (f *fixture) extremes() []extreme {
	f.Helper()
	quote := f.quoter()
	var all []extreme
	raw := func(sql string) { all = append(all, extreme{sql, sql}) }
	text := func(what, text string) { all = append(all, extreme{what, quote(text)}) }
	raw("NULL")
	for _, number := range []string{
		"-9223372036854775808", "-9223372036854775807", "-62135596800000001", "-2147483649", "-2147483648", "-32769", "-1", "0", "1", "2",
		"32768", "65536", "2147483647", "2147483648", "4294967295", "4294967296", "253402300799999999", "253402300800000000",
		"9223372036854775806", "9223372036854775807", "9223372036854775808", "18446744073709551615", "1.5", "-0.5", "1e18", "1e308",
		"-1e308", "9e999",
	} {
		raw(number)
	}
	for _, at := range []string{
		"infinity", "-infinity", "0000-00-00 00:00:00", "0001-01-01 00:00:00", "2020-00-00 00:00:00", "0999-12-31 23:59:59",
		"1000-01-01 00:00:00", "1969-12-31 23:59:59.999999", "2038-01-19 03:14:08", "9999-12-31 23:59:59.999999", "10000-01-01 00:00:00",
		"294276-12-31 23:59:59.999999", "4713-11-24 00:00:00 BC", "epoch",
	} {
		text(at, at)
	}
	for _, words := range []string{
		"", " ", ",", "a,b", " a ", "\t", "\n", "true", "no", "NaN", "Infinity", "12abc", "0x7f", "'", `"`, "`", `\`, "%", "\u2028",
		"\ufeff",
	} {
		text(strconv.Quote(words), words)
	}
	for _, n := range []int{191, 192, 255, 1 << 16} {
		text(fmt.Sprintf("a text of %d characters", n), strings.Repeat("x", n))
	}
	text("a text of 64 KiB of 4-byte characters", strings.Repeat("😀", 1<<14))
	for _, bytes := range []string{
		"X''", "X'00'", "X'FF'", "X'C328'", "X'EDA080'", "X'7B7D'", "CAST(X'FF' AS TEXT)", "CAST(X'00' AS TEXT)", "CAST(X'61C328' AS TEXT)",
		"CHAR(0)", "chr(0)", `E'a\x00b'`, `E'\xff'`, "CONVERT(X'FF' USING latin1)", "CAST(X'7B226A6F62223A22FF227D' AS TEXT)",
		"X'7B226A6F62223A2261227D'",
	} {
		raw(bytes)
	}
	for _, bad := range badPayloads {
		text("payload: "+bad.what, bad.payload)
	}
	text("payload: members that differ in case", `{"JOB":"upper","job":"lower","Job":"title","Data":1,"data":2}`)
	text("payload: a name of 64 KiB", `{"job":"`+strings.Repeat("n", 1<<16)+`"}`)
	text("payload: a name of 64 KiB of escapes", `{"job":"`+strings.Repeat(`\u00e9`, 1<<14)+`"}`)
	text("payload: 64 KiB of members", `{"job":"job","data":{`+strings.TrimSuffix(strings.Repeat(`"k":1,`, 1<<14), ",")+`}}`)
	text("payload: data of 64 KiB", `{"job":"job","data":"`+strings.Repeat("x", 1<<16)+`"}`)
	text("payload: true", "true")
	text("payload: an empty list", "[]")
	for _, levels := range []int{999, 6000, 20_000} {
		text(fmt.Sprintf("payload: data of %d levels", levels),
			`{"job":"deep","data":`+strings.Repeat("[", levels)+strings.Repeat("]", levels)+`}`)
		text(fmt.Sprintf("payload: %d levels", levels), strings.Repeat("[", levels)+strings.Repeat("]", levels))
	}
	text("payload: settings out of range",
		`{"job":"job","tries":1e400,"timeout":-1e400,"backoff":[1e400],"retry_until":"99999-01-01T00:00:00Z","max_exceptions":9e99}`)
	return all
}

// quoter writes texts as literals: in some databases a backslash escapes.
func (f *fixture) quoter() func(string) string {
	f.Helper()
	escapes := f.count(`SELECT length('\\')`) == 1
	return func(text string) string {
		if escapes {
			text = strings.ReplaceAll(text, `\`, `\\`)
		}
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
}

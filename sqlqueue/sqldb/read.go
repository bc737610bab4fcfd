package sqldb

import (
	"math"
	"strconv"
	"strings"
	"time"
)

var (
	firstTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
)

// Time is a time from microseconds since 1970, in UTC. A time before the year 1 becomes the start of that year, one after 9999 its end.
func Time(micros int64) time.Time {
	return time.UnixMicro(min(max(micros, firstTime.UnixMicro()), lastTime.UnixMicro())).UTC()
}

// within is t, or the nearest time that the tables can keep.
func within(t time.Time) time.Time {
	switch {
	case t.Before(firstTime):
		return firstTime
	case t.After(lastTime):
		return lastTime
	}
	return t
}

// Reading returns arguments for Scan in place of dest, which accept any value, so that one bad row does not stop a list. A number that dest
// cannot hold becomes the nearest that it can, and a value that is not a number becomes 0. NULL is the zero value. Text is made valid
// UTF-8. Times are read from microseconds since 1970. Dest are pointers to int64, int, int16, float64, bool, string, []byte or time.Time.
func Reading(dest ...any) []any {
	scanners := make([]any, len(dest))
	for i, d := range dest {
		scanners[i] = &reader{d}
	}
	return scanners
}

type reader struct{ dest any }

// Scan implements sql.Scanner.
func (r *reader) Scan(value any) error {
	switch d := r.dest.(type) {
	case *int64:
		*d = number(value)
	case *int:
		*d = int(min(max(number(value), math.MinInt), math.MaxInt))
	case *int16:
		*d = int16(min(max(number(value), math.MinInt16), math.MaxInt16))
	case *float64:
		if *d, _ = strconv.ParseFloat(strings.TrimSpace(words(value)), 64); math.IsNaN(*d) {
			*d = 0
		}
	case *bool:
		*d = truth(value)
	case *string:
		*d = strings.ToValidUTF8(words(value), "\uFFFD")
	case *[]byte:
		*d = []byte(words(value))
	case *time.Time:
		if *d = (time.Time{}); value != nil {
			*d = Time(number(value))
		}
	}
	return nil
}

// number is a value as an integer.
func number(value any) int64 {
	switch v := value.(type) {
	case int64:
		return v
	case uint64:
		return int64(min(v, math.MaxInt64))
	case float64:
		switch {
		case v >= math.MaxInt64:
			return math.MaxInt64
		case v <= math.MinInt64:
			return math.MinInt64
		case math.IsNaN(v):
			return 0
		}
		return int64(v)
	case bool:
		if v {
			return 1
		}
		return 0
	}
	text := strings.TrimSpace(words(value))
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(text, 64) // infinite where it is out of range
	return number(f)
}

func truth(value any) bool {
	if text := words(value); text != "" {
		if is, err := strconv.ParseBool(text); err == nil {
			return is
		}
	}
	return number(value) != 0
}

// words is a value as text.
func words(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case uint64:
		return strconv.FormatUint(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return ""
}

// Milliseconds is a duration of n milliseconds, at most the greatest Duration. A negative one becomes 0.
func Milliseconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

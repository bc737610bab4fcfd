package dashboard

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sqlqueue/sqlqueue/sqlqueue/operator"
)

// term is one condition of a query, such as queue:mail or data.customer.id:42.
type term struct{ key, value string }

// terms reads a query: conditions with spaces between them. A value with spaces is in quotes, in which \" and \\ are a quote and a
// backslash. A number alone is an id.
func terms(text string) ([]term, error) {
	var all []term
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		n := strings.IndexAny(rest, ": \t\n\"")
		if n <= 0 || rest[n] != ':' {
			word, after := rest, ""
			if i := strings.IndexAny(rest, " \t\n"); i >= 0 {
				word, after = rest[:i], rest[i:]
			}
			if _, err := strconv.ParseInt(word, 10, 64); err != nil {
				return nil, &problem{400, say("query.word", word)}
			}
			all, rest = append(all, term{"id", word}), after
			continue
		}
		key, value := rest[:n], ""
		var ok bool
		if value, rest, ok = termValue(rest[n+1:]); !ok {
			return nil, &problem{400, say("query.quote", key)}
		}
		if value == "" {
			return nil, &problem{400, say("query.empty", key)}
		}
		all = append(all, term{key, value})
	}
	return all, nil
}

// termValue cuts a value off a query.
func termValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		n := strings.IndexAny(s, " \t\n")
		if n < 0 {
			n = len(s)
		}
		return s[:n], s[n:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// quoted writes a condition so that terms reads it back.
func quoted(key, value string) string {
	if value != "" && !strings.ContainsAny(value, " \t\n\"\\") {
		return key + ":" + value
	}
	return key + `:"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// joined makes a query of keys and values, and leaves out empty values.
func joined(pairs ...string) string {
	var all []string
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			all = append(all, quoted(pair[0], pair[1]))
		}
	}
	return strings.Join(all, " ")
}

// jobFilter reads a query for jobs: queue, name, state, id, data.path, older and newer.
func (d *Dashboard) jobFilter(text string, now time.Time) (f operator.JobFilter, err error) {
	all, err := terms(text)
	if err != nil {
		return f, err
	}
	for _, t := range all {
		path, isData := strings.CutPrefix(t.key, "data.")
		switch {
		case t.key == "queue":
			f.Queue = t.value
		case t.key == "name":
			f.Name = t.value
		case t.key == "state":
			if f.State = operator.State(t.value); !slices.Contains([]operator.State{
				operator.Ready, operator.Delayed,
				operator.Reserved,
			}, f.State) {
				return f, &problem{400, say("query.state", t.value)}
			}
		case t.key == "id":
			if f.IDs, err = queryIDs(f.IDs, t.value); err != nil {
				return f, err
			}
		case isData:
			keys := strings.Split(path, ".")
			if slices.Contains(keys, "") || strings.ContainsAny(path, "\"\\\x00") {
				return f, &problem{400, say("query.path", t.key)}
			}
			f.Fields = append(f.Fields, operator.Field{Path: keys, Value: t.value})
		case t.key == "older":
			f.OlderThan, err = parseDuration(t.value)
		case t.key == "newer":
			var age time.Duration
			age, err = parseDuration(t.value)
			f.CreatedAfter = now.Add(-age)
		default:
			return f, &problem{400, say("query.key", t.key, "queue, name, state, id, data.FIELD, older, newer")}
		}
		if err != nil {
			return f, err
		}
	}
	for _, field := range f.Fields {
		if d.hides(f.Name, field.Path, []byte(field.Value)) {
			return f, &problem{403, say("query.hidden", strings.Join(field.Path, "."))}
		}
	}
	return f, nil
}

// failedFilter reads a query for failed jobs: queue, name, error, id and older.
func failedFilter(text string) (f operator.FailedFilter, err error) {
	all, err := terms(text)
	if err != nil {
		return f, err
	}
	for _, t := range all {
		switch t.key {
		case "queue":
			f.Queue = t.value
		case "name":
			f.Name = t.value
		case "error":
			f.Error = t.value
		case "id":
			f.IDs, err = queryIDs(f.IDs, t.value)
		case "older":
			f.OlderThan, err = parseDuration(t.value)
		default:
			return f, &problem{400, say("query.key", t.key, "queue, name, error, id, older")}
		}
		if err != nil {
			return f, err
		}
	}
	if strings.Contains(f.Error, mask) {
		return f, &problem{400, say("query.mask")}
	}
	return f, nil
}

func queryIDs(ids []int64, list string) ([]int64, error) {
	const most = 1000
	for _, word := range strings.Split(list, ",") {
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil || id < 1 {
			return nil, &problem{400, say("query.id", word)}
		}
		ids = append(ids, id)
	}
	if len(ids) > most {
		return nil, &problem{400, say("query.ids", most)}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

var days = regexp.MustCompile(`^(\d{1,5})([wd])`)

// parseDuration reads durations such as 90s, 1h30m, 2d and 1w, which are not negative.
func parseDuration(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	var whole time.Duration
	rest := s
	if part := days.FindStringSubmatch(s); part != nil {
		n, _ := strconv.Atoi(part[1])
		whole = time.Duration(n) * day
		if part[2] == "w" {
			whole *= 7
		}
		rest = s[len(part[0]):]
	}
	var d time.Duration
	if rest != "" {
		var err error
		if d, err = time.ParseDuration(rest); err != nil || d < 0 {
			return 0, &problem{400, say("query.duration", s)}
		}
	}
	const century = 100 * 365 * day
	if whole > century || d > century || whole < 0 || float64(whole)+float64(d) > math.MaxInt64/2 {
		return 0, &problem{400, say("query.duration", s)}
	}
	return whole + d, nil
}

// isCostly reports whether a filter has no index, so that it is searched in windows.
func isCostly(f operator.JobFilter) bool {
	return f.IDs == nil && (f.Name != "" || f.Fields != nil || f.OlderThan != 0 || !f.CreatedAfter.IsZero())
}

func number(text string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < least || n > most {
		return 0, &problem{422, say("number", fmt.Sprintf("%.40s", text), least, most)}
	}
	return n, nil
}

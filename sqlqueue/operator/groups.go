package operator

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// likeErrors puts groups together whose errors differ in ids, times and the like only. The largest comes first.
func likeErrors(groups []FailedGroup) []FailedGroup {
	type key struct{ queue, name, error string }
	at := map[key]int{}
	var merged []FailedGroup
	for _, g := range groups {
		g.Error = like(g.Error)
		k := key{g.Queue, g.Name, g.Error}
		i, ok := at[k]
		if !ok {
			at[k] = len(merged)
			merged = append(merged, g)
			continue
		}
		m := &merged[i]
		m.Count += g.Count
		m.ID = max(m.ID, g.ID)
		if g.First.Before(m.First) {
			m.First = g.First
		}
		if g.Last.After(m.Last) {
			m.Last = g.Last
		}
	}
	slices.SortFunc(merged, func(a, b FailedGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(b.ID, a.ID))
	})
	return merged
}

// like puts a * in the place of each word with a digit in it, such as an id, a time, an address or a hash. A small number that names the
// kind of an error stays: exit status 1, HTTP 404.
func like(text string) string {
	var b strings.Builder
	before := "" // the word before
	for text != "" {
		word := text[:end(text, false)]
		if word == "" {
			word = text[:end(text, true)]
			b.WriteString(word)
			text = text[len(word):]
			continue
		}
		if strings.ContainsFunc(word, unicode.IsNumber) && (!small(word) || !namesKind(before)) {
			b.WriteByte('*')
		} else {
			b.WriteString(word)
		}
		before, text = word, text[len(word):]
	}
	return b.String()
}

// namesKind reports whether a number after this word says what kind of error it is.
func namesKind(word string) bool {
	return slices.Contains([]string{"http", "status", "code"}, strings.TrimRight(strings.ToLower(word), ":"))
}

// end is where the text's first word ends, or what stands before it.
func end(text string, before bool) int {
	n := strings.IndexFunc(text, func(r rune) bool {
		return before == (unicode.IsLetter(r) || unicode.IsNumber(r) || strings.ContainsRune("_.:/+-", r))
	})
	if n < 0 {
		return len(text)
	}
	return n
}

func small(word string) bool {
	digits := word
	if last := len(word) - 1; word[last] == '.' || word[last] == ':' {
		digits = word[:last]
	}
	return len(digits) <= 3 && strings.Trim(digits, "0123456789") == ""
}

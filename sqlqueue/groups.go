package sqlqueue

import (
	"cmp"
	"regexp"
	"slices"
)

// likeErrors puts groups together whose errors differ in ids, times and the like only. The largest comes first.
func likeErrors(groups []FailedGroup) []FailedGroup {
	type key struct{ queue, name, error string }
	at := map[key]int{}
	var merged []FailedGroup
	for _, g := range groups {
		g.Error = varying.ReplaceAllStringFunc(g.Error, unlessSmall)
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

// varying is a word with a digit in it, such as an id, a time, an address or a hash.
var varying = regexp.MustCompile(`[\pL\pN_.:/+-]*\pN[\pL\pN_.:/+-]*`)

var small = regexp.MustCompile(`^[0-9]{1,3}[.:]?$`)

// unlessSmall keeps what is more likely a kind of error than one of many values: exit status 1, HTTP 404.
func unlessSmall(word string) string {
	if small.MatchString(word) {
		return word
	}
	return "*"
}

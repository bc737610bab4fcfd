package pgqueue

import (
	"strings"
	"testing"
)

// Queues in different schemas, or with different prefixes, have channels of their own, whose names are not too long for the server.
func TestChannels(t *testing.T) {
	long := strings.Repeat("a", 63)
	seen := map[string]bool{}
	for _, of := range []struct{ schema, prefix, want string }{
		{"", "", "sqlqueue"},
		{"", "shop_", "shop_sqlqueue"},
		{"shop", "", "shop.sqlqueue"},
		{"shop", "app_", "shop.app_sqlqueue"},
		{long[:54], "", long[:54] + ".sqlqueue"},
		{long[:55], "", ""},
		{long, "", ""},
		{long, long[:32], ""},
	} {
		got := channelOf(of.schema, of.prefix)
		if of.want != "" && got != of.want || len(got) > 63 || seen[got] {
			t.Errorf("schema %q, prefix %q: %q, want %q, of at most 63 bytes, once", of.schema, of.prefix, got, of.want)
		}
		seen[got] = true
	}
}

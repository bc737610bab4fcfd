package open

import (
	"net/url"
	"strings"
	"testing"
)

// FuzzAddress: no text is too strange for an address, and wherever the password stands, no error and no name of the database shows it.
func FuzzAddress(f *testing.F) {
	const secret = "s3cr3t"
	for _, seed := range []string{
		"postgres://app:%s@db/shop", "mysql://app:%s@db:3306/shop?tls=true", "postgres://app@db/shop?password=%s", "sqlite:jobs.db",
		"postgres://app:%s#@db/shop", "mariadb://%s@db", "postgres://app:%s@a,b:5433/shop", "postgresql://[::1]:%s/shop", "mysql:app:%s",
		"://%s", "", "mysql://app:%s@db/shop?readTimeout=%s", "postgres:///%s", "postgres://app:%s@/shop",
	} {
		f.Add(seed, secret)
	}
	f.Fuzz(func(t *testing.T, dsn, password string) {
		a, err := ParseAddress(dsn)
		shown, _ := ShownAddress(dsn)
		if err != nil {
			if text := err.Error(); len(dsn) > 20 && strings.Contains(text, dsn) {
				t.Fatalf("the error shows the address: %s", text)
			}
			return
		}
		const mark = "S3cr3tMark"
		whole := "postgres://app:" + url.QueryEscape(mark+password) + "@db/shop"
		marked, err := ParseAddress(whole)
		if err != nil || strings.Contains(marked.String(), mark) {
			t.Fatalf("%s is shown as %s, %v", whole, marked, err)
		}
		if text, _ := ShownAddress(whole); strings.Contains(text, mark) {
			t.Fatalf("%s is shown as %s", whole, text)
		}
		if a.url == nil {
			return
		}
		if own, ok := a.url.User.Password(); ok && strings.Contains(own, mark) && strings.Contains(a.String()+shown, mark) {
			t.Fatalf("the address %q is shown as %s, %s", dsn, a, shown)
		}
		if _, err := mysqlConfig(a); err != nil && strings.Contains(a.Redact(err).Error(), mark) {
			t.Fatalf("the address %q is shown: %v", dsn, a.Redact(err))
		}
	})
}

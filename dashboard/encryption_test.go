package dashboard_test

import (
	"bytes"
	"testing"

	"github.com/sqlqueue/sqlqueue/dashboard"
	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/encrypt"
)

func TestEncryptedData(t *testing.T) {
	t.Parallel()
	s := open(t, dashboard.Config{ReadOnly: true})
	keys, err := encrypt.New(encrypt.Key{ID: "k1", Secret: bytes.Repeat([]byte("k1"), 16)})
	if err != nil {
		t.Fatal(err)
	}
	store, err := s.q.Store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.q, err = sqlqueue.New(store, sqlqueue.Config{Cipher: keys}); err != nil {
		t.Fatal(err)
	}
	s.push("mail", "charge", `{"card":"4111 1111"}`)
	for _, path := range []string{"/jobs", "/jobs/1"} {
		page := s.get(path)
		s.has(page, "charge", "encrypted")
		s.hasNot(page, `"kid"`, "&#34;kid&#34;")
	}
}

package encrypt_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
	"github.com/sqlqueue/sqlqueue/sqlqueue/encrypt"
)

// key is a key whose secret follows from its name.
func key(id string) encrypt.Key {
	return encrypt.Key{ID: id, Secret: bytes.Repeat([]byte(id), 32)[:32]}
}

func keys(t *testing.T, ids ...string) *encrypt.Keys {
	t.Helper()
	all := make([]encrypt.Key, len(ids))
	for i, id := range ids {
		all[i] = key(id)
	}
	k, err := encrypt.New(all...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTheFirstKeyEncryptsAndAllDecrypt(t *testing.T) {
	t.Parallel()
	old, both, other := keys(t, "k1"), keys(t, "k2", "k1"), keys(t, "k3")
	const data = `{"card": "4111 1111", "u": "\u0000"}`
	for _, k := range []*encrypt.Keys{old, both} {
		sealed, err := k.Encrypt("pay", []byte(data))
		if err != nil || !sqlqueue.IsEncrypted(sealed) || !json.Valid(sealed) || bytes.Contains(sealed, []byte("4111 1111")) {
			t.Fatalf("encrypted: %s, %v", sealed, err)
		}
		if again, _ := k.Encrypt("pay", []byte(data)); bytes.Equal(again, sealed) {
			t.Error("the same data was encrypted to the same text twice")
		}
		if got, err := both.Decrypt("pay", sealed); err != nil || string(got) != data {
			t.Errorf("decrypted: %s, %v", got, err)
		}
		if got := both.Current(sealed); got != (k == both) {
			t.Errorf("current is %v for %s", got, sealed)
		}
		if _, err := other.Decrypt("pay", sealed); !errors.Is(err, sqlqueue.ErrNoKey) {
			t.Errorf("without the key: %v", err)
		}
		if _, err := both.Decrypt("refund", sealed); err == nil || errors.Is(err, sqlqueue.ErrNoKey) {
			t.Errorf("under another name: %v", err)
		}
	}
}

func TestChangedDataIsNotDecrypted(t *testing.T) {
	t.Parallel()
	k := keys(t, "k1")
	sealed, err := k.Encrypt("pay", []byte(`1`))
	if err != nil {
		t.Fatal(err)
	}
	var parts struct {
		Enc int    `json:"enc"`
		Kid string `json:"kid"`
		Box []byte `json:"box"`
	}
	if err := json.Unmarshal(sealed, &parts); err != nil {
		t.Fatal(err)
	}
	for i := range parts.Box {
		changed := parts
		changed.Box = bytes.Clone(parts.Box)
		changed.Box[i] ^= 1
		text, _ := json.Marshal(changed)
		if got, err := k.Decrypt("pay", text); err == nil {
			t.Errorf("byte %d was changed, and it was decrypted to %s", i, got)
		}
	}
	for _, text := range []string{
		`{"enc":1,"kid":"k1","box":""}`, `{"enc":1,"kid":"k1","box":"AA"}`, `{"enc":1,"kid":"k1"}`, `{"enc":1,"kid":"`, `null`,
	} {
		if got, err := k.Decrypt("pay", []byte(text)); err == nil {
			t.Errorf("%s was decrypted to %s", text, got)
		}
	}
}

func TestTheHashStaysUntilTheLastKeyGoes(t *testing.T) {
	t.Parallel()
	hash := func(ids ...string) string { return keys(t, ids...).Hash([]byte("text")) }
	if old, more, other := hash("k1"), hash("k3", "k2", "k1"), hash("k2"); old != more || old == other || len(old) != 64 {
		t.Errorf("hashes %s, %s and %s", old, more, other)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	secret := base64.StdEncoding.EncodeToString(key("k1").Secret)
	other := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 32))
	for _, text := range []string{
		"k2:" + other + " k1:" + secret, "\n# the keys\nk2:" + other + "\r\n\tk1:" + secret + "\n", "k2:" + other + ",k1:" + secret,
	} {
		k, err := encrypt.Parse(text)
		if err != nil || k.String() != "keys k2, k1" {
			t.Errorf("%q: %v, %v", text, k, err)
		}
	}
	for text, want := range map[string]string{
		"":                              "there are no keys",
		"# k1:" + secret:                "there are no keys",
		secret:                          "key 1 has no name",
		"k1:" + secret + " " + secret:   "key 2 has no name",
		"k1:" + secret[:20]:             `key "k1" has 15 bytes`,
		"k1:" + secret + "!":            "key 1 is not valid base64",
		"k/1:" + secret:                 "the name of key 1 is not valid",
		"k1:" + secret + " k1:" + other: `two keys "k1"`,
	} {
		_, err := encrypt.Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret[:20]) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestNoTextHasASecret(t *testing.T) {
	t.Parallel()
	k := keys(t, "k1")
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		config := fmt.Sprintf(format+" "+format+" "+format, key("k1"), k, sqlqueue.Config{Cipher: k})
		for _, secret := range []string{"k1k1", "107 49", "107, 49", "0x6b, 0x31"} {
			if strings.Contains(config, secret) {
				t.Errorf("%s: %s", format, config)
			}
		}
	}
}

// Package encrypt encrypts the data of jobs in the tables with AES-256-GCM and keys that only programs have:
//
//	keys, err := encrypt.Parse(os.Getenv("SQLQUEUE_ENCRYPTION_KEYS"))
//	q, err := pgqueue.New(pool, sqlqueue.Config{Cipher: keys})
//
// Data is encrypted when a job is written, and decrypted before its handler runs. The job's name, its queue and its settings stay readable.
// Data that is not encrypted, as other programs push it, is read as it is.
package encrypt

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/sqlqueue/sqlqueue/sqlqueue"
)

var _ sqlqueue.Cipher = (*Keys)(nil)

// Key is one key with its name.
type Key struct {
	ID     string // stands beside what it encrypts: 1 to 32 letters, digits and . _ -
	Secret []byte // 32 bytes
}

// String is the key's ID, so that no log has the secret.
func (k Key) String() string { return "key " + k.ID }

// GoString is String.
func (k Key) GoString() string { return k.String() }

// Keys is a list of keys: the first encrypts, all decrypt. It is safe for concurrent use.
type Keys struct {
	first string
	ids   []string
	by    map[string]cipher.AEAD
	hash  []byte // for Hash
}

const secretSize = 32

var validID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,32}$`)

// New returns the keys. The first encrypts. The last one also makes the keys of UniqueByData: a new first key leaves these as they are,
// and they change when the last key is taken out. No error has a secret.
func New(keys ...Key) (*Keys, error) {
	if len(keys) == 0 {
		return nil, errors.New("encrypt: there are no keys")
	}
	k := &Keys{first: keys[0].ID, by: map[string]cipher.AEAD{}}
	for i, key := range keys {
		switch {
		case !validID.MatchString(key.ID):
			return nil, fmt.Errorf("encrypt: the name of key %d is not valid: use 1 to 32 letters, digits and . _ -", i+1)
		case k.by[key.ID] != nil:
			return nil, fmt.Errorf("encrypt: there are two keys %q", key.ID)
		case len(key.Secret) != secretSize:
			return nil, fmt.Errorf("encrypt: key %q has %d bytes: it must have %d", key.ID, len(key.Secret), secretSize)
		}
		block, err := aes.NewCipher(key.Secret)
		if err != nil {
			return nil, fmt.Errorf("encrypt: key %q: %w", key.ID, err)
		}
		if k.by[key.ID], err = cipher.NewGCMWithRandomNonce(block); err != nil {
			return nil, fmt.Errorf("encrypt: key %q: %w", key.ID, err)
		}
		k.ids = append(k.ids, key.ID)
	}
	k.hash = mac(keys[len(keys)-1].Secret, []byte("sqlqueue unique key")) // one secret for each purpose
	return k, nil
}

// Parse reads keys such as "k2:BASE64 k1:BASE64", with spaces, commas or new lines between them; each is 32 bytes in base64. Lines that
// begin with # are comments. No error has a part of the text beside names of keys.
func Parse(text string) (*Keys, error) {
	var keys []Key
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, one := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) }) {
			id, secret, ok := strings.Cut(one, ":")
			if !ok {
				return nil, fmt.Errorf("encrypt: key %d has no name: write it as NAME:BASE64", len(keys)+1)
			}
			key := Key{ID: id}
			var err error
			if key.Secret, err = decode(secret); err != nil {
				return nil, fmt.Errorf("encrypt: key %d is not valid base64", len(keys)+1)
			}
			keys = append(keys, key)
		}
	}
	return New(keys...)
}

// decode reads base64 of either alphabet, with or without padding.
func decode(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	return base64.RawStdEncoding.DecodeString(text)
}

// String is the keys' names.
func (k *Keys) String() string { return "keys " + strings.Join(k.ids, ", ") }

// GoString is String.
func (k *Keys) GoString() string { return k.String() }

// box is encrypted data. The order of the members is that of sqlqueue.IsEncrypted.
type box struct {
	Version int    `json:"enc"`
	Key     string `json:"kid"`
	Box     []byte `json:"box"` // 12 bytes of a random nonce, the ciphertext, 16 bytes of a tag
}

// Encrypt encrypts data with the first key, for jobs of this name.
func (k *Keys) Encrypt(job string, data json.RawMessage) (json.RawMessage, error) {
	sealed := k.by[k.first].Seal(nil, nil, data, []byte(job))
	return json.Marshal(box{Version: 1, Key: k.first, Box: sealed})
}

// Decrypt returns the data. The error wraps sqlqueue.ErrNoKey if its key is not there. Any other error means that it was changed, that
// it is that of a job of another name, or that its key has another secret here.
func (k *Keys) Decrypt(job string, data json.RawMessage) (json.RawMessage, error) {
	b, err := open(data)
	if err != nil {
		return nil, err
	}
	key := k.by[b.Key]
	if key == nil {
		return nil, fmt.Errorf("the data is encrypted with the key %.40q: %w", b.Key, sqlqueue.ErrNoKey)
	}
	plain, err := key.Open(nil, nil, b.Box, []byte(job))
	if err != nil {
		return nil, fmt.Errorf("the data cannot be decrypted: it was changed, it is that of a job of another name, "+
			"or the key %q has another secret", b.Key)
	}
	return plain, nil
}

// Current reports whether the data is encrypted with the first key.
func (k *Keys) Current(data json.RawMessage) bool {
	b, err := open(data)
	return err == nil && b.Key == k.first
}

// Hash is the HMAC-SHA256 of a text, with a key made of the last one.
func (k *Keys) Hash(text []byte) string { return hex.EncodeToString(mac(k.hash, text)) }

func open(data json.RawMessage) (b box, err error) {
	if err := json.Unmarshal(data, &b); err != nil || b.Version != 1 {
		return b, errors.New("the data is not as this version encrypts it")
	}
	return b, nil
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

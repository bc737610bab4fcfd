package deliver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	secretPrefix = "whsec_"

	// Standard Webhooks' limits, in bytes.
	leastSecret = 24
	mostSecret  = 64
)

// Secret is the key that requests are signed with, as Standard Webhooks says: whsec_ and base64. It prints itself as xxxxx.
type Secret struct{ key []byte }

// NewSecret makes a Secret by chance.
func NewSecret() *Secret {
	s := &Secret{make([]byte, 32)}
	_, _ = rand.Read(s.key) // never fails
	return s
}

// ParseSecret reads a Secret. The error does not show it.
func ParseSecret(text string) (*Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return nil, errors.New("it is not a secret of Standard Webhooks: use whsec_ followed by base64")
	}
	if n := len(key); n < leastSecret || n > mostSecret {
		return nil, fmt.Errorf("the secret has %d bytes: use %d to %d, in base64 after whsec_", n, leastSecret, mostSecret)
	}
	return &Secret{key}, nil
}

// Text is the secret itself.
func (s *Secret) Text() string { return secretPrefix + base64.StdEncoding.EncodeToString(s.key) }

func (s *Secret) String() string { return "xxxxx" }

// sign returns the header webhook-signature.
func (s *Secret) sign(id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

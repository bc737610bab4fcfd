package deliver

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Target is where jobs are posted to. It is safe for concurrent use.
type Target struct {
	url     *url.URL
	secret  *Secret
	headers map[string]string
	private secrets // what must not be shown
}

// NewTarget returns a Target. The secret may be nil: then requests are not signed. No error has a part of a URL, a header's value or a
// secret.
func NewTarget(address string, secret *Secret, headers map[string]string) (*Target, error) {
	u, err := ParseURL(address)
	if err != nil {
		return nil, err
	}
	t := &Target{url: u, secret: secret, headers: headers}
	var private secrets
	hide := private.add
	for name, value := range headers {
		if err := checkHeader(name, value); err != nil {
			return nil, err
		}
		hide(value)
		_, credentials, _ := strings.Cut(value, " ") // after Bearer, or Basic
		hide(credentials)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		hide(base64.StdEncoding.EncodeToString([]byte(u.User.Username() + ":" + password)))
		hide(cmp.Or(password, u.User.Username()))
	}
	hide(u.RawQuery)
	for _, values := range u.Query() {
		for _, value := range values {
			hide(value)
		}
	}
	for i, part := range strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/") {
		if i > 0 || !isWord(part) {
			hide(part)
			if plain, err := url.PathUnescape(part); err == nil {
				hide(plain)
			}
		}
	}
	t.private = private
	return t, nil
}

// ParseURL reads the address of a Target: of http or https. The error does not show it.
func ParseURL(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL: use one such as https://example.com/jobs")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("it is not a URL of http or https: use one such as https://example.com/jobs")
	case u.Hostname() == "":
		return nil, errors.New("it has no host: use a URL such as https://example.com/jobs")
	}
	return u, nil
}

// Redact writes a URL without what may be secret in it: the user, the password, the query, and the path but for its first part, if that is
// a word.
func Redact(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Host: u.Host}
	if u.User != nil {
		shown.User = url.User("xxxxx")
	}
	if path := strings.TrimPrefix(u.EscapedPath(), "/"); path != "" {
		first, rest, more := strings.Cut(path, "/")
		if !isWord(first) {
			first = "xxxxx"
		}
		shown.Path = "/" + first
		if rest != "" {
			shown.Path += "/xxxxx"
		} else if more {
			shown.Path += "/"
		}
	} else {
		shown.Path = u.Path
	}
	if u.RawQuery != "" {
		shown.RawQuery = "xxxxx"
	}
	return shown.String()
}

// isWord reports whether a part of a path looks like a name, such as jobs, and not like a token.
func isWord(part string) bool { return word.MatchString(part) }

var word = regexp.MustCompile(`^(?:[a-z][a-z_.-]{0,19}|[a-z]{0,3}[0-9]{1,2})?$`)

// secrets are texts that must not be shown, the longest first.
type secrets []string

func (s *secrets) add(text string) {
	if text != "" && !slices.Contains(*s, text) {
		*s = append(*s, text)
		slices.SortFunc(*s, func(a, b string) int { return len(b) - len(a) })
	}
}

// Replace hides the secrets in a text. A short one may be a part of any word: it is hidden where it stands by itself.
func (s secrets) Replace(text string) string {
	const short = 6
	for _, secret := range s {
		from := 0
		for {
			at := strings.Index(text[from:], secret)
			if at < 0 {
				break
			}
			at += from
			end := at + len(secret)
			before, _ := utf8.DecodeLastRuneInString(text[:at])
			after, _ := utf8.DecodeRuneInString(text[end:])
			if len(secret) < short && (inWord(before) || inWord(after)) {
				from = end
				continue
			}
			text = text[:at] + "xxxxx" + text[end:]
			from = at + len("xxxxx")
		}
	}
	return text
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// String is the URL, redacted.
func (t *Target) String() string { return Redact(t.url) }

// hide keeps what is private out of an error's text.
func (t *Target) hide(err error) error { return &hidden{err, t.private.Replace(err.Error())} }

type hidden struct {
	err  error
	text string
}

func (h *hidden) Error() string { return h.text }
func (h *hidden) Unwrap() error { return h.err }

// ours are headers that only this package, or package http, sets.
var ours = []string{
	"Connection", "Content-Length", "Content-Type", "Host", "Trailer", "Transfer-Encoding", "Upgrade",
	"Webhook-Id", "Webhook-Signature", "Webhook-Timestamp",
}

// checkHeader says what is wrong with a header, and does not show its value.
func checkHeader(name, value string) error {
	token := func(r rune) bool {
		return r > ' ' && r < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	}
	switch {
	case name == "" || strings.IndexFunc(name, func(r rune) bool { return !token(r) }) >= 0:
		return fmt.Errorf("%.60q is not the name of a header", name)
	case slices.Contains(ours, textproto.CanonicalMIMEHeaderKey(name)):
		return fmt.Errorf("the header %s is set by sqlqueue", http.CanonicalHeaderKey(name))
	case strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0:
		return fmt.Errorf("the header %s has a value with a line break or another control character", name)
	}
	return nil
}

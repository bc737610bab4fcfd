package dashboard

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// mask replaces a hidden value.
const mask = "••••"

// secrets are parts of the names of members that are hidden, without - and _.
var secrets = []string{
	"password", "passwd", "secret", "token", "apikey", "authorization", "cookie", "card", "cvv", "iban", "ssn",
}

var dashes = strings.NewReplacer("_", "", "-", "")

// hides reports whether a value of a job's data is hidden. Path is the path of names that leads to it.
func (d *Dashboard) hides(job string, path []string, value []byte) bool {
	return slices.ContainsFunc(path, isSecret) || d.config.Redact != nil && d.config.Redact(job, path, value)
}

func isSecret(key string) bool {
	key = dashes.Replace(strings.ToLower(key))
	return slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(key, s) })
}

// credentials match those in an address, and other secrets in plain text.
var (
	credentials = regexp.MustCompile(`://[^/?#\s"'<>:@]*:\S*@|://[^/?#\s"'<>@]+@`)
	assignments = regexp.MustCompile(`(?i)(password|passwd|pwd|secret|token|api[_-]?key)=[^\s&;"']+`)
	bearers     = regexp.MustCompile(`(?i)\b(bearer|basic) [A-Za-z0-9._~+/=-]{8,}`)
)

// hideCredentials hides secrets in a text that is not JSON: user and password in addresses, password=…,
// and the Authorization of a request.
func hideCredentials(text string) string {
	has := func(part string) bool { return strings.Contains(text, part) } // a megabyte is looked through fast
	if has("://") && has("@") {
		text = credentials.ReplaceAllString(text, "://"+mask+"@")
	}
	if has("=") {
		text = assignments.ReplaceAllString(text, "${1}="+mask)
	}
	if has("earer ") || has("EARER ") || has("asic ") || has("ASIC ") {
		text = bearers.ReplaceAllString(text, "${1} "+mask)
	}
	return text
}

// redactor copies JSON byte for byte, except hidden values.
type redactor struct {
	in    []byte
	at    int
	out   []byte
	hides func(path []string, value []byte) bool // nil: only what is always hidden
	path  []string
	depth int
	stop  bool // what follows is no JSON, or nested too deep: it is not copied
}

const maxDepth = 500

// redact hides the secrets in a payload. If that was cut, or is not JSON, it returns as much as it can read.
func (d *Dashboard) redact(job string, payload []byte) []byte {
	return d.redacted(payload, func(path []string, value []byte) bool {
		return path[0] == "data" && len(path) > 1 && d.config.Redact(job, path[1:], value)
	})
}

// redactData is redact for the data of a payload.
func (d *Dashboard) redactData(job string, data []byte) []byte {
	return d.redacted(data, func(path []string, value []byte) bool { return d.config.Redact(job, path, value) })
}

func (d *Dashboard) redacted(in []byte, hides func([]string, []byte) bool) []byte {
	r := &redactor{in: in}
	if d.config.Redact != nil {
		r.hides = hides
	}
	r.space()
	r.value()
	return r.out
}

func (r *redactor) peek() byte {
	if r.at >= len(r.in) {
		r.stop = true
		return 0
	}
	return r.in[r.at]
}

// space skips the white space between tokens, which is not shown, and reports whether something follows.
func (r *redactor) space() {
	for r.at < len(r.in) && strings.IndexByte(" \t\r\n", r.in[r.at]) >= 0 {
		r.at++
	}
}

func (r *redactor) value() {
	switch r.peek() {
	case '{':
		r.members('}', true)
	case '[':
		r.members(']', false)
	case '"':
		text, ends := r.text()
		shown := hideCredentials(string(text))
		if !ends { // what hides the credentials of an address may have been cut off
			shown, _, _ = strings.Cut(shown, "://")
		}
		r.out = append(r.out, shown...)
	default:
		start := r.at
		for r.at < len(r.in) && strings.IndexByte("+-.0123456789eEtruefalsn", r.in[r.at]) >= 0 {
			r.at++
		}
		r.stop = r.stop || r.at == start
		r.out = append(r.out, r.in[start:r.at]...)
	}
}

// text passes a string, and returns it with its quotes, and whether it ends.
func (r *redactor) text() (text []byte, ends bool) {
	start := r.at
	for r.at++; r.at < len(r.in); r.at++ {
		switch r.in[r.at] {
		case '\\':
			r.at++
		case '"':
			r.at++
			return r.in[start:r.at], true
		}
	}
	r.at, r.stop = len(r.in), true
	return r.in[start:], false
}

// members copies an object or an array.
func (r *redactor) members(end byte, named bool) {
	if r.depth++; r.depth > maxDepth {
		r.stop = true
	}
	defer func() { r.depth-- }()
	r.copy()
	for first := true; !r.stop; first = false {
		r.space()
		if r.peek() == end {
			r.copy()
			return
		}
		if !first {
			if r.peek() != ',' {
				r.stop = true
				return
			}
			r.copy()
			r.space()
		}
		if !named {
			r.element()
			continue
		}
		if r.peek() != '"' {
			r.stop = true
			return
		}
		key, ends := r.text()
		if !ends {
			return
		}
		var name string
		_ = json.Unmarshal(key, &name)
		r.out = append(r.out, key...)
		r.space()
		if r.peek() != ':' {
			r.stop = true
			return
		}
		r.copy()
		r.space()
		r.path = append(r.path, name)
		r.element()
		r.path = r.path[:len(r.path)-1]
	}
}

func (r *redactor) copy() {
	if !r.stop {
		r.out = append(r.out, r.in[r.at])
		r.at++
	}
}

// element copies a value, or hides it.
func (r *redactor) element() {
	if n := len(r.path); n > 0 && (isSecret(r.path[n-1]) || r.hides != nil && r.hides(r.path, r.in[r.at:r.end()])) {
		r.at = r.end()
		r.out = append(r.out, `"`+mask+`"`...)
		return
	}
	r.value()
}

// end is where the value that begins here ends.
func (r *redactor) end() int {
	depth := 0
	for i := r.at; i < len(r.in); i++ {
		switch r.in[i] {
		case '"':
			for i++; i < len(r.in) && r.in[i] != '"'; i++ {
				if r.in[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(r.in))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			} else if depth < 0 {
				return i
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(r.in)
}

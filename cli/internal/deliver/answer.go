package deliver

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sqlqueue/sqlqueue/worker"
)

const (
	mostText       = 1 << 10 // bytes of an answer that stand in the error
	mostLocation   = 200     // characters of a redirect's target that do
	mostRetryAfter = time.Hour
)

// outcome is what an answer makes of the job.
//
// A receiver that says Retry-After is believed within limits: its queue rests at least as long as the job would wait after another error,
// and an hour at most unless that is longer.
func (t *Target) outcome(answer *http.Response, text []byte, backoff time.Duration) error {
	code := answer.StatusCode
	if code >= 200 && code <= 299 {
		return nil
	}
	says := strings.TrimSpace(fmt.Sprintf("%s answered %d %s", t, code, http.StatusText(code)))
	if code >= 300 && code <= 399 {
		if to := answer.Header.Get("Location"); to != "" {
			says += ", a redirect to " + t.location(to)
		}
		return errors.New(says + ": redirects are not followed")
	}
	if text := t.private.Replace(printable(text)); text != "" {
		says += ": " + text
	}
	switch code {
	case http.StatusGone:
		return worker.Fail(errors.New(says))
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if delay, ok := retryAfter(answer.Header, time.Now()); ok && delay > 0 {
			return fmt.Errorf("%s: %w", says, worker.Throttle(max(delay, backoff)))
		}
	}
	return errors.New(says)
}

// retryAfter reads a number of seconds, or a date. The date is compared with that of the answer, because the receiver's clock may be off.
func retryAfter(header http.Header, now time.Time) (delay time.Duration, ok bool) {
	text := header.Get("Retry-After")
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(whole, 10, 64)
	n = min(n, uint64(mostRetryAfter/time.Second))
	if strings.Trim(fraction, "0") != "" && err == nil {
		n++
		_, err = strconv.ParseUint(fraction, 10, 64)
	}
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return min(time.Duration(n)*time.Second, mostRetryAfter), true
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	if at, err := http.ParseTime(header.Get("Date")); err == nil {
		now = at
	}
	return min(max(date.Sub(now), 0), mostRetryAfter), true
}

// location is the target of a redirect, fit to be shown.
func (t *Target) location(text string) string {
	to, err := url.Parse(text)
	if err != nil {
		return "what is not a URL"
	}
	shown := []rune(printable([]byte(Redact(t.url.ResolveReference(to)))))
	if len(shown) > mostLocation {
		shown = append(shown[:mostLocation-1], '…')
	}
	return string(shown)
}

// printable makes one line of what others have written: what is not printable, a character that the limit has cut included, is left out,
// and space is one blank.
func printable(text []byte) string {
	return strings.Join(strings.FieldsFunc(string(text), func(r rune) bool {
		return !unicode.IsPrint(r) || r == ' ' || r == utf8.RuneError
	}), " ")
}

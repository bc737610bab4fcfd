package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// language is one in which the pages are.
type language struct {
	Code  string // as in <html lang>
	Name  string // in the language itself
	words map[string]string
}

// languages are all; the first is for browsers that ask for none of them.
var languages = []*language{{"en", "English", english}, {"zh", "中文", chinese}}

// languageCookie keeps a visitor's choice. It is the only cookie of the dashboard.
const languageCookie = "sqlqueue_language"

// languageOf is the language that the visitor chose, or else the first of Accept-Language that there is.
func languageOf(r *http.Request) *language {
	if cookie, err := r.Cookie(languageCookie); err == nil {
		if l := languageNamed(cookie.Value); l != nil {
			return l
		}
	}
	best, most := languages[0], 0.0
	for _, part := range strings.Split(r.Header.Get("Accept-Language"), ",") {
		tag, weight, _ := strings.Cut(part, ";")
		q := 1.0
		if text, ok := strings.CutPrefix(strings.TrimSpace(weight), "q="); ok {
			q, _ = strconv.ParseFloat(text, 64)
		}
		tag, _, _ = strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if l := languageNamed(tag); l != nil && q > most {
			best, most = l, q
		}
	}
	return best
}

func languageNamed(code string) *language {
	for _, l := range languages {
		if l.Code == code {
			return l
		}
	}
	return nil
}

// say writes a text of the dashboard.
func (l *language) say(key string, a ...any) string {
	format, ok := l.words[key]
	if !ok {
		return key
	}
	if len(a) == 0 {
		return format
	}
	return fmt.Sprintf(format, a...)
}

// text is what is wrong with a request, for visitors of any language.
type text struct {
	key  string
	args []any
}

func say(key string, a ...any) *text { return &text{key, a} }

func (t *text) Error() string { return languages[0].say(t.key, t.args...) }

// reason is an error in the visitor's language, where it is the dashboard's own.
func (l *language) reason(err error) string {
	if own := (*text)(nil); errors.As(err, &own) {
		return l.say(own.key, own.args...)
	}
	return err.Error()
}

// roughly writes a duration in its two largest units.
func (l *language) roughly(d time.Duration) string { return l.units(roughly(d)) }

// units puts the language's words in the place of the letters of a duration, such as 2h 36m.
func (l *language) units(of string) string {
	units := l.words["time.units"]
	if units == "" {
		return of
	}
	return strings.NewReplacer(strings.Split(units, ",")...).Replace(of)
}

// relative writes a time relative to now.
func (l *language) relative(t, now time.Time) string {
	if t.IsZero() {
		return "–"
	}
	switch d := now.Sub(t); {
	case d > -time.Second && d < time.Second:
		return l.say("time.now")
	case d < 0:
		return l.say("time.in", l.roughly(-d))
	default:
		return l.say("time.ago", l.roughly(d))
	}
}

// chooseLanguage keeps the visitor's choice, and goes back to the page. The cookie has no path, so that it is for all pages below the
// dashboard's root, wherever a proxy has put that.
func (v *visit) chooseLanguage() error {
	l := languageNamed(v.form("language"))
	if l == nil {
		return v.wrong(http.StatusBadRequest, "refused.form")
	}
	const year = 365 * 24 * time.Hour
	http.SetCookie(v.w, &http.Cookie{
		Name: languageCookie, Value: l.Code, MaxAge: int(year.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: v.r.TLS != nil,
	})
	v.redirect(v.base + strings.TrimLeft(v.form("back"), "/\\"))
	return nil
}

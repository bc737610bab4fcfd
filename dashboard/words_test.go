package dashboard

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

var verbs = regexp.MustCompile(`%[.\d]*[a-z]`)

// TestLanguages: each language has every text, with the same verbs in the same order.
func TestLanguages(t *testing.T) {
	t.Parallel()
	for _, l := range languages {
		for key, text := range english {
			of, ok := l.words[key]
			if !ok || of == "" && text != "" {
				t.Errorf("%s: there is no %q", l.Code, key)
			}
			if got, want := strings.Join(verbs.FindAllString(of, -1), " "), strings.Join(verbs.FindAllString(text, -1), " "); got != want {
				t.Errorf("%s: %q has the verbs %s, want %s", l.Code, key, got, want)
			}
		}
		for key := range l.words {
			if _, ok := english[key]; !ok {
				t.Errorf("%s: %q is no text", l.Code, key)
			}
		}
		if n := len(strings.Split(l.words["weekdays"], ",")); n != 7 {
			t.Errorf("%s: %d weekdays", l.Code, n)
		}
		if got, want := len(strings.Split(l.words["edit.parts"], ",")), 4; got != want {
			t.Errorf("%s: %d parts of a job", l.Code, got)
		}
	}
}

// TestLanguageOf: the cookie decides, then the browser's preference, then English.
func TestLanguageOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ accept, cookie, want string }{
		{"", "", "en"},
		{"zh-CN,zh;q=0.9,en;q=0.8", "", "zh"},
		{"de, en;q=0.7, ZH-TW;q=0.3", "", "en"},
		{"fr;q=1, zh;q=0.2", "", "zh"},
		{"zh;q=0", "", "en"},
		{"en", "zh", "zh"},
		{"zh", "en", "en"},
		{"zh", "../x", "zh"},
		{";;,q=,zh;q=x", "", "en"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header.Set("Accept-Language", test.accept)
		if test.cookie != "" {
			r.Header.Set("Cookie", languageCookie+"="+test.cookie)
		}
		if got := languageOf(r).Code; got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
}

// TestChineseTimes: durations have words, not letters.
func TestChineseTimes(t *testing.T) {
	t.Parallel()
	zh, now := languageNamed("zh"), time.Now()
	for d, want := range map[time.Duration]string{90 * time.Minute: "1 小时 30 分钟前", -5 * time.Second: "5 秒后", 0: "现在"} {
		if got := zh.relative(now.Add(-d), now); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

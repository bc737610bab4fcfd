package dashboard

import (
	"fmt"
	"net/http"
	"strings"
)

// contentPolicy allows the dashboard's own script and style, and nothing inline or from elsewhere.
func contentPolicy(ancestors []string) (string, error) {
	frames := "'none'"
	for _, a := range ancestors {
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r == ';' || r == ',' || r > '~' }) {
			return "", fmt.Errorf("dashboard: the frame ancestor %q is not a source such as 'self' or https://admin.example.com", a)
		}
	}
	if len(ancestors) > 0 {
		frames = strings.Join(ancestors, " ")
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; " +
		"base-uri 'none'; frame-ancestors " + frames + "; require-trusted-types-for 'script'; trusted-types sqlqueue", nil
}

func (d *Dashboard) setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", d.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if len(d.config.FrameAncestors) == 0 {
		h.Set("X-Frame-Options", "DENY")
	}
}
